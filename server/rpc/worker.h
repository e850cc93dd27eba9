// Worker: one thread beside the queues, for calls that read the disk or ask scheduler threads.
// Control has one of its own, and so has Outcomes: what waits here is refused from a bound on.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/rpc/coro.h"
#include "server/rpc/signal.h"

namespace postern::rpc {

class Worker {
 public:
  static constexpr std::size_t kMaxWaiting = 64;

  Worker();
  ~Worker();  // runs what was posted, then ends

  // Thread: any. False when kMaxWaiting jobs wait already.
  bool Post(std::function<void()> job);

 private:
  void Run();

  base::Mutex mu_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

// Runs `job` on the worker and comes back to `queue` with its result. RESOURCE_EXHAUSTED when too
// many wait already. What `job` refers to must live until then.
template <class T>
Task<absl::StatusOr<T>> RunOn(Worker& worker, Queue& queue,
                              std::function<absl::StatusOr<T>()> job) {
  struct Result final : public Wakeup {
    using Wakeup::Wakeup;
    std::optional<absl::StatusOr<T>> value;
  };
  auto result = std::make_shared<Result>(queue);
  std::function<void()> run = [result, job = std::move(job)] {
    result->value.emplace(job());
    result->Notify();
  };
  if (!worker.Post(std::move(run))) {
    co_return absl::ResourceExhaustedError("too many queries at once (64)");
  }
  co_await result->signal().Wait();
  co_return std::move(*result->value);
}

}  // namespace postern::rpc

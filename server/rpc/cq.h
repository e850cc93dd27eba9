// Queue: one completion queue, one thread, and the coroutines that live on it.
//
// A call belongs to the queue that accepted it and is only ever touched by that queue's thread, so
// a service holds no lock. Other threads reach a call by a Wakeup (signal.h).
//
// gRPC 1.51's callback API is not used: its threads sleep up to 100 ms between polls.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace postern::rpc {

// What is given to gRPC as a tag. Released before an operation is started and acquired when it
// comes back, so that ThreadSanitizer sees the hand-over through the uninstrumented library.
class Tag {
 public:
  virtual void OnComplete(bool ok) = 0;

  void* Release();
  static Tag* Acquire(void* tag);

 protected:
  ~Tag() = default;
};

// Functions that other threads want run on a queue's thread. Outlives the queue if need be: then
// what is posted is dropped. However many are posted at once, the queue is woken once.
class Inbox final : public Tag {
 public:
  explicit Inbox(grpc::CompletionQueue* cq) : cq_(cq) {}
  // Thread: any. False after Close(): `run` is dropped.
  bool Post(std::function<void()> run);
  void Close();
  void OnComplete(bool ok) override;

 private:
  base::Mutex mu_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mu_);
  bool armed_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  grpc::CompletionQueue* const cq_;
  // An alarm that is due at once is how a tag of ours gets into the queue.
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mu_);
  std::vector<std::function<void()>> running_;
};

class Signal;

class Queue {
 public:
  explicit Queue(std::unique_ptr<grpc::ServerCompletionQueue> cq);
  // REQUIRES: Stop() has returned, or Start() was never called.
  ~Queue();

  void Start();
  // Waits until no coroutine is left, then ends the thread. REQUIRES: the server is shut down.
  void Stop();

  grpc::ServerCompletionQueue* cq() const { return cq_.get(); }
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }

  // The steady time that deadlines here are measured by. Not the injected clock: a completion
  // queue waits in real time only.
  static absl::Time Now();

  // Counts a coroutine for as long as it lives, so that Stop() can wait for it.
  class Hold {
   public:
    explicit Hold(Queue& queue);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    Queue& queue() { return queue_; }

   private:
    Queue& queue_;
  };

  // For Signal. Thread: the queue's.
  void Ready(std::coroutine_handle<> coroutine) { ready_.push_back(coroutine); }
  void AddTimer(absl::Time when, Signal* signal) { timers_.emplace(when, signal); }
  void RemoveTimer(absl::Time when, Signal* signal) { timers_.erase({when, signal}); }

 private:
  void Run();
  void RunReady();

  std::unique_ptr<grpc::ServerCompletionQueue> cq_;
  std::shared_ptr<Inbox> inbox_;
  std::deque<std::coroutine_handle<>> ready_;
  std::set<std::pair<absl::Time, Signal*>> timers_;
  base::Mutex mu_;
  std::condition_variable idle_;
  int coroutines_ ABSL_GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace postern::rpc

// Signal: what a coroutine of a queue waits for. Wakeup: a signal that any thread may set.
//
//   auto wakeup = std::make_shared<Wakeup>(queue);
//   intake.Submit(..., [wakeup](...) { wakeup->Notify(); });   // any thread
//   co_await wakeup->signal().Wait();                          // the queue's thread
#pragma once

#include <atomic>
#include <coroutine>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "server/rpc/cq.h"

namespace postern::rpc {

// Something to wait for: set stays set until a wait takes it. One waiter. Thread: the queue's.
class Signal {
 public:
  explicit Signal(Queue& queue) : queue_(queue) {}
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  void Set();
  // For the queue: the deadline of the present wait has come.
  void TimeOut();

  class Awaiter {
   public:
    Awaiter(Signal& signal, absl::Time deadline) : signal_(signal), deadline_(deadline) {}
    bool await_ready() const { return signal_.set_; }
    void await_suspend(std::coroutine_handle<> h);
    bool await_resume() { return std::exchange(signal_.set_, false); }

   private:
    Signal& signal_;
    const absl::Time deadline_;
  };
  // True when the signal was set, false when `deadline` (of Queue::Now) came first.
  Awaiter WaitUntil(absl::Time deadline) { return Awaiter(*this, deadline); }
  Awaiter Wait() { return Awaiter(*this, absl::InfiniteFuture()); }

 private:
  Queue& queue_;
  bool set_ = false;
  std::coroutine_handle<> waiter_;
  absl::Time deadline_ = absl::InfiniteFuture();
};

// A Signal that any thread may set. Held by the coroutine that waits and by whoever will notify it.
// Notifications that come before the coroutine runs are one.
class Wakeup : public std::enable_shared_from_this<Wakeup> {
 public:
  explicit Wakeup(Queue& queue) : inbox_(queue.inbox()), signal_(queue) {}
  virtual ~Wakeup() = default;
  // Thread: any.
  void Notify();
  // Thread: the queue's.
  Signal& signal() { return signal_; }

 private:
  const std::shared_ptr<Inbox> inbox_;
  std::atomic<bool> posted_{false};
  Signal signal_;
};

}  // namespace postern::rpc

#include "server/rpc/signal.h"

#include "server/base/check.h"

namespace postern::rpc {

void Signal::Set() {
  set_ = true;
  if (!waiter_) return;
  if (deadline_ != absl::InfiniteFuture()) queue_.RemoveTimer(deadline_, this);
  queue_.Ready(std::exchange(waiter_, nullptr));
}

void Signal::TimeOut() {
  queue_.RemoveTimer(deadline_, this);
  queue_.Ready(std::exchange(waiter_, nullptr));
}

void Signal::Awaiter::await_suspend(std::coroutine_handle<> h) {
  POSTERN_CHECK(!signal_.waiter_);
  signal_.waiter_ = h;
  signal_.deadline_ = deadline_;
  if (deadline_ != absl::InfiniteFuture()) signal_.queue_.AddTimer(deadline_, &signal_);
}

void Wakeup::Notify() {
  if (posted_.exchange(true, std::memory_order_acq_rel)) return;
  inbox_->Post([self = shared_from_this()] {
    self->posted_.store(false, std::memory_order_release);
    self->signal_.Set();
  });
}

}  // namespace postern::rpc

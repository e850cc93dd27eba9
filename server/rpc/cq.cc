#include "server/rpc/cq.h"

#include <grpc/support/time.h>

#include <algorithm>
#include <chrono>

#include "server/rpc/signal.h"

#if defined(__SANITIZE_THREAD__)
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace postern::rpc {
namespace {

// `when` on gRPC's monotonic clock; the longest wait is an hour, which costs one wake-up.
gpr_timespec GrpcDeadline(absl::Time when) {
  const absl::Duration wait =
      std::clamp(when - Queue::Now(), absl::ZeroDuration(), absl::Duration(absl::Hours(1)));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(absl::ToInt64Nanoseconds(wait), GPR_TIMESPAN));
}

}  // namespace

void* Tag::Release() {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(this);
#endif
  return this;
}

Tag* Tag::Acquire(void* tag) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(tag);
#endif
  return static_cast<Tag*>(tag);
}

bool Inbox::Post(std::function<void()> run) {
  base::MutexLock lock(mu_);
  if (closed_) return false;
  posted_.push_back(std::move(run));
  if (!armed_) {
    armed_ = true;
    alarm_.Set(cq_, gpr_inf_past(GPR_CLOCK_MONOTONIC), Release());
  }
  return true;
}

void Inbox::Close() {
  base::MutexLock lock(mu_);
  closed_ = true;
}

void Inbox::OnComplete(bool /*ok*/) {
  {
    base::MutexLock lock(mu_);
    armed_ = false;
    running_.swap(posted_);
  }
  for (const std::function<void()>& run : running_) run();
  running_.clear();
}

Queue::Queue(std::unique_ptr<grpc::ServerCompletionQueue> cq)
    : cq_(std::move(cq)), inbox_(std::make_shared<Inbox>(cq_.get())) {}

Queue::~Queue() {
  if (thread_.joinable()) Stop();
  inbox_->Close();
  // A queue must be empty when it is destroyed, also if it was never started.
  cq_->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (cq_->Next(&tag, &ok)) Tag::Acquire(tag)->OnComplete(ok);
}

void Queue::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Queue::Stop() {
  if (!thread_.joinable()) return;
  {
    base::MutexLock lock(mu_);
    while (coroutines_ > 0) idle_.wait(lock.native());
  }
  inbox_->Close();
  cq_->Shutdown();
  thread_.join();
}

absl::Time Queue::Now() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

Queue::Hold::Hold(Queue& queue) : queue_(queue) {
  base::MutexLock lock(queue_.mu_);
  ++queue_.coroutines_;
}

Queue::Hold::~Hold() {
  base::MutexLock lock(queue_.mu_);
  if (--queue_.coroutines_ == 0) queue_.idle_.notify_all();
}

void Queue::Run() {
  for (;;) {
    const absl::Time deadline = timers_.empty() ? absl::InfiniteFuture() : timers_.begin()->first;
    void* tag = nullptr;
    bool ok = false;
    switch (cq_->AsyncNext(&tag, &ok, GrpcDeadline(deadline))) {
      case grpc::CompletionQueue::SHUTDOWN:
        return;
      case grpc::CompletionQueue::GOT_EVENT:
        Tag::Acquire(tag)->OnComplete(ok);
        break;
      case grpc::CompletionQueue::TIMEOUT:
        break;
    }
    RunReady();
    if (timers_.empty()) continue;
    const absl::Time now = Now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
      timers_.begin()->second->TimeOut();
    }
    RunReady();
  }
}

void Queue::RunReady() {
  while (!ready_.empty()) {
    const std::coroutine_handle<> next = ready_.front();
    ready_.pop_front();
    next.resume();
  }
}

}  // namespace postern::rpc

#include "server/spool/write_queue.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "absl/time/clock.h"

namespace postern::spool {
namespace {

// Waits until notified or `patience` is over. gcc 12's ThreadSanitizer does not know
// pthread_cond_clockwait, which a wait on the steady clock ends in: there it is the system clock.
void WaitFor(std::condition_variable& wake, base::MutexLock& lock, absl::Duration patience) {
  if (patience == absl::InfiniteDuration()) {
    wake.wait(lock.native());
    return;
  }
#if defined(__SANITIZE_THREAD__)
  wake.wait_until(lock.native(),
                  std::chrono::system_clock::now() + absl::ToChronoMicroseconds(patience));
#else
  wake.wait_for(lock.native(), absl::ToChronoMicroseconds(patience));
#endif
}

}  // namespace

WriteOp MakeOp(WriteOp::Kind kind, const base::Id& message_id) {
  WriteOp op;
  op.kind = kind;
  op.message_id = message_id;
  return op;
}

std::size_t WriteOp::bytes() const {
  std::size_t sum = 32 + key.size() + content.size();
  if (token != nullptr) sum += token->key.size() + token->value.size();
  for (const std::string& row : rows) sum += row.size() + 24;
  if (kind == Kind::kRemove) sum += static_cast<std::size_t>(row_count) * 24;
  return sum;
}

Ticket WriteQueue::Push(WriteOp op) {
  bool wake = false;
  Ticket ticket = 0;
  {
    base::MutexLock lock(mu_);
    ticket = op.ticket = ++last_ticket_;
    waiting_.push_back(std::move(op));
    wake = std::exchange(sleeping_, false);
  }
  if (wake) wake_.notify_one();
  return ticket;
}

void WriteQueue::WhenWritten(Ticket ticket, std::function<void()> done) {
  {
    base::MutexLock lock(mu_);
    if (!IsWritten(ticket)) {
      waiters_.push_back({ticket, std::move(done)});
      return;
    }
  }
  done();
}

void WriteQueue::Stop() {
  {
    base::MutexLock lock(mu_);
    stopped_ = true;
    sleeping_ = false;
  }
  wake_.notify_one();
}

bool WriteQueue::Collect(absl::Duration patience, std::deque<WriteOp>& work) {
  bool stopped = false;
  {
    base::MutexLock lock(mu_);
    if (waiting_.empty() && !stopped_ && patience > absl::ZeroDuration()) {
      // Woken for nothing, it looks and comes back.
      sleeping_ = true;
      WaitFor(wake_, lock, patience);
      sleeping_ = false;
    }
    taken_.swap(waiting_);
    stopped = stopped_;
  }
  std::move(taken_.begin(), taken_.end(), std::back_inserter(work));
  taken_.clear();
  return !stopped;
}

void WriteQueue::SetWritten(Ticket ticket) {
  std::vector<std::function<void()>> due;
  {
    base::MutexLock lock(mu_);
    written_.store(ticket, std::memory_order_release);
    const auto first = std::stable_partition(waiters_.begin(), waiters_.end(),
                                             [&](const Waiter& w) { return w.ticket > ticket; });
    for (auto at = first; at != waiters_.end(); ++at) due.push_back(std::move(at->done));
    waiters_.erase(first, waiters_.end());
  }
  for (const std::function<void()>& done : due) done();
}

}  // namespace postern::spool

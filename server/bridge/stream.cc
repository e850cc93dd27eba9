#include "server/bridge/stream.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace postern::bridge {
namespace {

constexpr std::size_t kRememberedVerdicts = 65536;
constexpr std::size_t kFrameItems = 256;  // questions, results in one frame

}  // namespace

Stream::Stream(StreamSpec spec, const PolicyOptions& options, const base::Clock& clock,
               const Encoder& encoder, std::shared_ptr<Subscriber> subscriber)
    : spec_(std::move(spec)),
      max_questions_(options.max_open_questions),
      clock_(clock),
      encoder_(encoder),
      subscriber_(std::move(subscriber)),
      buffer_(options.buffer_events, options.buffer_bytes, spec_.provider != nullptr) {}

void Stream::MadeReady(Notifications* notify) {
  if (!armed_ || !subscriber_) return;
  armed_ = false;
  notify->push_back(subscriber_);
}

std::uint64_t Stream::Push(const Event& event, Notifications* notify) {
  base::MutexLock lock(mu_);
  if (closed()) return 0;
  const std::uint64_t dropped = buffer_.Push(event);
  MadeReady(notify);
  return dropped;
}

void Stream::Replay(std::vector<Event> events, std::optional<Gap> gap) {
  base::MutexLock lock(mu_);
  buffer_.Replay(std::move(events));
  first_gap_ = gap;
}

void Stream::SetSnapshot(Snapshot snapshot) {
  base::MutexLock lock(mu_);
  snapshot_ = std::move(snapshot);
}

void Stream::Drain(absl::Time deadline, Notifications* notify) {
  base::MutexLock lock(mu_);
  drain_ = deadline;
  MadeReady(notify);
}

Stream::Sent Stream::Ask(Question question, std::uint64_t after_sequence, bool open,
                         Notifications* notify) {
  base::MutexLock lock(mu_);
  if (closed()) return Sent::kClosed;
  // Answered and cancelled questions linger until the next Take: they do not count.
  if (questions_.size() >= max_questions_) {
    std::erase_if(questions_, [this](const Waiting& w) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return w.open && !open_.contains({w.question.connection->id, w.question.number});
    });
    if (questions_.size() >= max_questions_) return Sent::kOverload;
  }
  if (open) open_.try_emplace({question.connection->id, question.number});
  questions_.push_back({std::move(question), after_sequence, open});
  MadeReady(notify);
  return Sent::kSent;
}

void Stream::Forget(const base::Id& connection, std::uint32_t number, bool answered) {
  base::MutexLock lock(mu_);
  const auto it = open_.find({connection, number});
  if (it == open_.end()) return;
  if (answered && it->second.taken) buffer_.AcknowledgeUpTo(it->second.position);
  open_.erase(it);
}

void Stream::Cancel(const base::Id& connection, std::uint32_t number, CancelCause cause,
                    Notifications* notify) {
  base::MutexLock lock(mu_);
  const auto it = open_.find({connection, number});
  if (it == open_.end()) return;
  const bool seen = it->second.taken;
  open_.erase(it);
  if (!seen || closed()) return;
  cancelled_.push_back({connection, number, cause});
  MadeReady(notify);
}

bool Stream::Stuck() const {
  base::MutexLock lock(mu_);
  return buffer_.stuck();
}

bool Stream::RememberVerdict(std::uint64_t verdict_id) {
  base::MutexLock lock(mu_);
  if (!verdict_ids_.insert(verdict_id).second) return false;
  if (verdict_order_.size() < kRememberedVerdicts) {
    verdict_order_.push_back(verdict_id);
  } else {
    verdict_ids_.erase(std::exchange(verdict_order_[verdict_next_], verdict_id));
    verdict_next_ = (verdict_next_ + 1) % kRememberedVerdicts;
  }
  return true;
}

void Stream::AddResult(VerdictResult result, Notifications* notify) {
  base::MutexLock lock(mu_);
  results_.push_back(std::move(result));
  MadeReady(notify);
}

std::size_t Stream::pending_results() const {
  base::MutexLock lock(mu_);
  return results_.size();
}

absl::Status Stream::Acknowledge(std::uint64_t position) {
  base::MutexLock lock(mu_);
  if (position < acknowledged_) {
    return absl::InvalidArgumentError(
        absl::StrCat("acknowledge.position: ", position, " goes back behind ", acknowledged_));
  }
  if (absl::Status status = buffer_.Acknowledge(position); !status.ok()) return status;
  acknowledged_ = position;
  return absl::OkStatus();
}

void Stream::TakeUrgent(std::vector<Frame>* frames) {
  if (drain_) {
    frames->push_back(Draining{std::max(*drain_ - clock_.Steady(), absl::ZeroDuration())});
    drain_.reset();
  }
  if (first_gap_) {
    frames->push_back(*first_gap_);
    first_gap_.reset();
  }
  if (snapshot_) {
    frames->push_back(std::move(*snapshot_));
    snapshot_.reset();
  }
  while (!results_.empty()) {
    VerdictResults batch;
    while (!results_.empty() && batch.size() < kFrameItems) {
      batch.push_back(std::move(results_.front()));
      results_.pop_front();
    }
    frames->push_back(std::move(batch));
  }
  for (QuestionCancelled& cancelled : cancelled_) frames->push_back(cancelled);
  cancelled_.clear();
}

bool Stream::TakeQuestions(std::vector<Frame>* frames) {
  const absl::Time now = clock_.Steady();
  std::deque<Waiting> held_back;
  Questions batch;
  for (Waiting& waiting : questions_) {
    const auto it = open_.find({waiting.question.connection->id, waiting.question.number});
    if (waiting.open && it == open_.end()) continue;  // over before it was sent
    if (!buffer_.Passed(waiting.after_sequence)) {
      held_back.push_back(std::move(waiting));
      continue;
    }
    if (waiting.open) it->second = Open{true, buffer_.taken_position()};
    waiting.question.time_left = std::max(waiting.question.deadline - now, absl::ZeroDuration());
    batch.push_back(std::move(waiting.question));
    if (batch.size() == kFrameItems) frames->push_back(std::exchange(batch, {}));
  }
  if (!batch.empty()) frames->push_back(std::move(batch));
  questions_ = std::move(held_back);
  return !questions_.empty();
}

Taken Stream::Take(std::size_t max_events, std::size_t max_bytes) {
  Taken taken;
  base::MutexLock lock(mu_);
  TakeUrgent(&taken.frames);
  const bool held_back = TakeQuestions(&taken.frames);
  if (!buffer_.empty()) buffer_.Take(max_events, max_bytes, encoder_, &taken.frames);
  if (held_back) TakeQuestions(&taken.frames);
  for (const Frame& frame : taken.frames) {
    if (std::holds_alternative<Gap>(frame)) spec_.counts->gaps->Add();
  }
  taken.more = !buffer_.empty() || !questions_.empty();
  armed_ = !taken.more;
  return taken;
}

std::vector<Stream::QuestionKey> Stream::Close() {
  base::MutexLock lock(mu_);
  closed_.store(true, std::memory_order_release);
  std::vector<QuestionKey> open;
  open.reserve(open_.size());
  for (const auto& [key, state] : open_) open.push_back(key);
  open_.clear();
  questions_.clear();
  return open;
}

void Stream::Release() {
  std::shared_ptr<Subscriber> last;  // may be the last share: never let go of it under a lock
  base::MutexLock lock(mu_);
  last = std::move(subscriber_);
}

}  // namespace postern::bridge

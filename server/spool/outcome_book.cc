#include "server/spool/outcome_book.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace postern::spool {
namespace {

// Runs of outcomes to what is kept.
constexpr std::uint64_t kRuns = 64;
constexpr absl::Duration kLongestLook = absl::Minutes(1);
constexpr absl::Duration kShortestRun = absl::Seconds(1);
// A consumer that nobody has been for so long is no longer waited for, nor remembered.
constexpr absl::Duration kForgetAfter = absl::Hours(30 * 24);

absl::Duration RunTime(absl::Duration kept) {
  return std::max(kept / static_cast<std::int64_t>(kRuns), kShortestRun);
}

std::uint64_t RecordBytes(const WriteOp& op) { return op.content.size() + 8 + kHistoryKeyBytes; }

}  // namespace

OutcomeBook::OutcomeBook(const Retention& retention, std::shared_ptr<Expiry> expiry,
                         SpoolMetrics& metrics)
    : retention_(retention),
      keeps_history_(retention.finished_for > absl::ZeroDuration() &&
                     retention.finished_messages > 0),
      outcome_run_time_(RunTime(retention.outcomes_for)),
      run_time_(keeps_history_ ? std::min(outcome_run_time_, RunTime(retention.finished_for))
                               : outcome_run_time_),
      expiry_(std::move(expiry)),
      metrics_(metrics) {}

void OutcomeBook::Admit(WriteOp& op) {
  if (op.outcomes == 0) return;
  op.sequence = next_;
  next_ += op.outcomes;
}

void OutcomeBook::Begin() {
  pending_ = {};
  pending_.totals = totals_;
}

void OutcomeBook::Add(const WriteOp& op, absl::Time now) {
  Totals& totals = pending_.totals;
  if (op.kind == WriteOp::Kind::kRemove) ++totals.messages;
  if (op.outcomes == 0) return;
  const Checkpoint* since = pending_.checkpoints.empty()
                                ? (checkpoints_.empty() ? nullptr : &checkpoints_.back())
                                : &pending_.checkpoints.back();
  if (since == nullptr || RunIsFull(totals, *since, now)) {
    pending_.checkpoints.push_back({op.sequence, now, totals.bytes, totals.messages});
  }
  pending_.outcomes = true;
  totals.head = op.sequence + op.outcomes - 1;
  totals.bytes += RecordBytes(op);
}

bool OutcomeBook::RunIsFull(const Totals& totals, const Checkpoint& since, absl::Time now) const {
  if (totals.head < since.sequence) return false;  // it is empty
  return totals.bytes - since.bytes >= retention_.bytes / kRuns ||
         (keeps_history_ && totals.messages - since.messages >
                                std::max<std::uint64_t>(retention_.finished_messages / kRuns, 1)) ||
         now - since.time >= run_time_;
}

void OutcomeBook::TakeAsked() {
  base::MutexLock lock(mu_);
  pending_.consumers = asked_;
  for (auto& [name, consumer] : pending_.consumers) {
    const auto known = consumers_.find(name);
    if (known == consumers_.end()) continue;
    consumer.cursor = std::max(consumer.cursor, known->second.cursor);
  }
}

void OutcomeBook::Write(Database& database, Batch& batch) {
  TakeAsked();
  const bool drops = drop_to_ > floor_;
  if (drops) {
    pending_.drop_to = drop_to_;
    batch.DropOutcomes(database, floor_, drop_to_);
    for (const Checkpoint& checkpoint : checkpoints_) {
      if (checkpoint.sequence >= drop_to_) break;
      batch.DeleteBook(database, CheckpointKey(checkpoint.sequence));
    }
  }
  for (const std::vector<Checkpoint>* some : {&unsaved_, &pending_.checkpoints}) {
    for (const Checkpoint& checkpoint : *some) {
      batch.PutBook(database, CheckpointKey(checkpoint.sequence), Encode(checkpoint));
    }
  }
  for (const std::uint64_t sequence : joined_) batch.DeleteBook(database, CheckpointKey(sequence));
  for (const auto& [name, consumer] : pending_.consumers) {
    batch.PutBook(database, ConsumerKey(name), Encode(consumer));
  }
  const bool first = !log_written_ && (pending_.outcomes || !pending_.consumers.empty());
  if (drops || first) {
    pending_.log = true;
    batch.PutBook(database, LogKey(), Encode(LogRecord{log_, std::max(floor_, drop_to_)}));
  }
}

void OutcomeBook::Committed(Database& database, absl::Time now) {
  const bool tell = pending_.outcomes;
  metrics_.outcomes.Add(pending_.totals.head - totals_.head);
  totals_ = pending_.totals;
  log_written_ = log_written_ || pending_.log;
  look_ = look_ || !pending_.checkpoints.empty() || !pending_.consumers.empty();
  for (Checkpoint& checkpoint : pending_.checkpoints) checkpoints_.push_back(checkpoint);
  unsaved_.clear();
  joined_.clear();
  for (auto& [name, consumer] : pending_.consumers) {
    consumers_[name] = consumer;
    consumers_changed_ = true;
  }
  if (pending_.drop_to > floor_) {
    metrics_.outcomes_dropped.Add(pending_.drop_to - floor_);
    floor_ = pending_.drop_to;
    while (!checkpoints_.empty() && checkpoints_.front().sequence < floor_) {
      checkpoints_.pop_front();
    }
    database.DropOutcomeFiles(OutcomeKey(floor_));
  }
  const bool changed = tell || look_ || pending_.drop_to != 0;
  const std::map<std::string, Consumer> written = std::move(pending_.consumers);
  pending_ = {};
  if (look_) Look(now);
  if (changed) Publish();
  ForgetWritten(written);
  if (tell) Tell();
}

void OutcomeBook::ForgetWritten(const std::map<std::string, Consumer>& written) {
  if (written.empty() && !asked_again_) return;
  base::MutexLock lock(mu_);
  for (const auto& [name, consumer] : written) {
    const auto asked = asked_.find(name);
    if (asked->second.cursor <= consumer.cursor) asked_.erase(asked);
  }
  asked_again_ = !asked_.empty();
}

std::uint64_t OutcomeBook::AcknowledgedByAll() const {
  if (consumers_.empty()) return 0;  // they are kept for the first one
  std::uint64_t least = totals_.head;
  for (const auto& [name, consumer] : consumers_) least = std::min(least, consumer.cursor);
  return least;
}

// Someone has not acknowledged all of a run that ends at `end` and is not too old for that.
bool OutcomeBook::Wanted(const Checkpoint& begin, const Checkpoint& end, std::uint64_t acknowledged,
                         absl::Time now) const {
  if (totals_.bytes - begin.bytes > retention_.bytes) return false;
  if (end.time + retention_.outcomes_for <= now) return false;
  return acknowledged + 1 < end.sequence;
}

bool OutcomeBook::InHistory(const Checkpoint& end, absl::Time now) const {
  return end.time + retention_.finished_for > now &&
         totals_.messages - end.messages < retention_.finished_messages;
}

void OutcomeBook::Look(absl::Time now) {
  look_ = false;
  next_look_ = now + std::min(run_time_, kLongestLook);
  if (!checkpoints_.empty() && RunIsFull(totals_, checkpoints_.back(), now)) {
    // Nothing comes that would begin the next run.
    checkpoints_.push_back({totals_.head + 1, now, totals_.bytes, totals_.messages});
    unsaved_.push_back(checkpoints_.back());
  }
  bool dropping = true;
  const std::uint64_t acknowledged = AcknowledgedByAll();
  history_floor_ = std::max(history_floor_, floor_);
  for (std::size_t i = 0; i + 1 < checkpoints_.size(); ++i) {
    const Checkpoint& end = checkpoints_[i + 1];
    const bool fits = totals_.bytes - checkpoints_[i].bytes <= retention_.bytes;
    const bool in_history = fits && InHistory(end, now);
    if (!in_history) history_floor_ = std::max(history_floor_, end.sequence);
    dropping = dropping && !in_history && !Wanted(checkpoints_[i], end, acknowledged, now);
    if (dropping) drop_to_ = std::max(drop_to_, end.sequence);
  }
  Join();
  for (auto at = consumers_.begin(); at != consumers_.end();) {
    // Its record stays in the spool until the name is used again; it counts for nothing.
    const bool forget = at->second.seen + kForgetAfter <= now;
    consumers_changed_ = consumers_changed_ || forget;
    at = forget ? consumers_.erase(at) : std::next(at);
  }
}

void OutcomeBook::Join() {
  std::deque<Checkpoint> kept;
  for (std::size_t i = 0; i < checkpoints_.size(); ++i) {
    const Checkpoint& here = checkpoints_[i];
    // What is dropped next ends where it is said to end.
    if (i > 0 && i + 1 < checkpoints_.size() && here.sequence > drop_to_ &&
        checkpoints_[i + 1].sequence <= history_floor_ &&
        checkpoints_[i + 1].bytes - kept.back().bytes < retention_.bytes / kRuns &&
        checkpoints_[i + 1].time - kept.back().time < outcome_run_time_) {
      joined_.push_back(here.sequence);
    } else {
      kept.push_back(here);
    }
  }
  checkpoints_.swap(kept);
}

bool OutcomeBook::Due(absl::Time now) {
  if (now >= next_look_ && patience() != absl::InfiniteDuration()) {
    Look(now);
    Publish();
  }
  return drop_to_ > floor_ || asked_again_;
}

absl::Duration OutcomeBook::patience() const {
  if (drop_to_ > floor_ || asked_again_) return absl::ZeroDuration();
  return totals_.head < floor_ ? absl::InfiniteDuration() : std::min(run_time_, kLongestLook);
}

void OutcomeBook::Publish() {
  expiry_->outcome_floor.store(floor_, std::memory_order_relaxed);
  metrics_.outcomes_kept.Set(static_cast<std::int64_t>(totals_.head + 1 - floor_));
  const std::uint64_t dropped = checkpoints_.empty() ? totals_.bytes : checkpoints_.front().bytes;
  metrics_.outcome_bytes.Set(static_cast<std::int64_t>(totals_.bytes - dropped));
  base::MutexLock lock(mu_);
  range_ = {log_, floor_, totals_.head};
  shown_history_floor_ = history_floor_;
  if (!std::exchange(consumers_changed_, false)) return;
  cursors_.clear();
  for (const auto& [name, consumer] : consumers_) cursors_[name] = consumer.cursor;
}

void OutcomeBook::Tell() {
  std::vector<std::shared_ptr<OutcomeListener>> live;
  {
    base::MutexLock lock(mu_);
    for (auto at = listeners_.begin(); at != listeners_.end();) {
      live.push_back(at->lock());
      if (live.back() != nullptr) {
        ++at;
      } else {
        live.pop_back();
        at = listeners_.erase(at);
      }
    }
  }
  for (const auto& listener : live) listener->OnOutcomes();
}

OutcomeSource::Range OutcomeBook::range() const {
  base::MutexLock lock(mu_);
  return range_;
}

std::uint64_t OutcomeBook::history_floor() const {
  base::MutexLock lock(mu_);
  return shown_history_floor_;
}

std::optional<std::uint64_t> OutcomeBook::CursorOf(const std::string& consumer) const {
  base::MutexLock lock(mu_);
  std::optional<std::uint64_t> cursor;
  if (const auto found = cursors_.find(consumer); found != cursors_.end()) cursor = found->second;
  // Acknowledged, and on its way to the disk: it is not sent again either.
  if (const auto asked = asked_.find(consumer); asked != asked_.end()) {
    cursor = std::max(cursor.value_or(0), asked->second.cursor);
  }
  return cursor;
}

absl::Status OutcomeBook::HasRoomFor(const std::string& consumer) const {
  const std::string owner = consumer.substr(0, consumer.find('\0') + 1);  // "": it has none
  std::size_t known = cursors_.size();
  std::size_t of_owner = 0;
  const auto count = [&](const std::string& name) { of_owner += absl::StartsWith(name, owner); };
  for (const auto& [name, cursor] : cursors_) count(name);
  for (const auto& [name, coming] : asked_) {
    if (cursors_.contains(name)) continue;
    ++known;
    count(name);
  }
  if (known >= OutcomeSource::kMaxConsumers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("consumer: ", known, " names are known, and that is the limit"));
  }
  if (!owner.empty() && of_owner >= OutcomeSource::kMaxConsumersOfOwner) {
    return absl::ResourceExhaustedError(
        absl::StrCat("consumer: the identity has ", of_owner, " names, and that is the limit"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> OutcomeBook::Ask(const std::string& consumer, std::uint64_t upto,
                                      absl::Time now) {
  base::MutexLock lock(mu_);
  if (const auto asked = asked_.find(consumer); asked != asked_.end()) {
    asked->second = {std::max(asked->second.cursor, upto), now};
    return false;
  }
  if (!cursors_.contains(consumer)) {
    if (absl::Status room = HasRoomFor(consumer); !room.ok()) return room;
  }
  asked_[consumer] = {upto, now};
  return true;
}

void OutcomeBook::AddListener(std::weak_ptr<OutcomeListener> listener) {
  base::MutexLock lock(mu_);
  std::erase_if(listeners_, [](const auto& one) { return one.expired(); });
  listeners_.push_back(std::move(listener));
}

}  // namespace postern::spool

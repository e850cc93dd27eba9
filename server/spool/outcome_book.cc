#include "server/spool/outcome_book.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/base/log.h"
#include "server/spool/wire.h"

namespace postern::spool {
namespace {

// Runs of outcomes to what is kept.
constexpr std::uint64_t kRuns = 64;
constexpr absl::Duration kLongestLook = absl::Minutes(1);
constexpr absl::Duration kShortestRun = absl::Seconds(1);
// A consumer that nobody has been for so long is no longer waited for, nor remembered.
constexpr absl::Duration kForgetAfter = absl::Hours(30 * 24);

absl::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Duration RunTime(const Retention& retention) {
  absl::Duration shortest = retention.outcomes_for;
  if (retention.finished_for > absl::ZeroDuration()) {
    shortest = std::min(shortest, retention.finished_for);
  }
  return std::max(shortest / static_cast<std::int64_t>(kRuns), kShortestRun);
}

absl::Status ReadError(const rocksdb::Status& status) {
  return absl::UnavailableError(
      absl::StrCat("spool: cannot read the outcomes: ", status.ToString()));
}

std::uint64_t RecordBytes(const WriteOp& op) { return op.content.size() + 8 + kHistoryKeyBytes; }

}  // namespace

OutcomeBook::OutcomeBook(const Retention& retention, std::shared_ptr<Expiry> expiry,
                         SpoolMetrics& metrics)
    : retention_(retention),
      run_time_(RunTime(retention)),
      expiry_(std::move(expiry)),
      metrics_(metrics) {}

absl::Status OutcomeBook::Load(Database& database, absl::Time now) {
  if (absl::Status status = LoadBooks(database); !status.ok()) return status;
  if (log_ == 0) log_ = base::RandomUint64() | 1;
  if (absl::Status status = LoadTail(database, now); !status.ok()) return status;
  next_ = totals_.head + 1;
  drop_to_ = history_floor_ = floor_;
  Look(now);
  Publish();
  return absl::OkStatus();
}

absl::Status OutcomeBook::LoadBooks(Database& database) {
  const std::unique_ptr<rocksdb::Iterator> at(
      database.db().NewIterator(rocksdb::ReadOptions(), database.books()));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const absl::string_view key = ToView(at->key());
    const absl::string_view value = ToView(at->value());
    absl::Status status;
    if (key == absl::string_view(LogKey())) {
      const absl::StatusOr<LogRecord> log = DecodeLog(value);
      status = log.status();
      if (log.ok()) log_ = log->log, floor_ = log->floor, log_written_ = true;
    } else if (IsCheckpointKey(key)) {
      const absl::StatusOr<Checkpoint> checkpoint = DecodeCheckpoint(key, value);
      status = checkpoint.status();
      if (checkpoint.ok()) checkpoints_.push_back(*checkpoint);
    } else if (const absl::string_view name = ConsumerName(key); !name.empty()) {
      const absl::StatusOr<Consumer> consumer = DecodeConsumer(value);
      status = consumer.status();
      if (consumer.ok()) consumers_[Copy(name)] = *consumer;
    }
    if (status.ok()) continue;
    metrics_.records_set_aside.Add();
    base::Log().error("spool: a record of the outcomes' books cannot be read: {}",
                      status.ToString());
  }
  return at->status().ok() ? absl::OkStatus() : ReadError(at->status());
}

absl::Status OutcomeBook::LoadTail(Database& database, absl::Time now) {
  // Totals are known up to the last checkpoint; behind it the records themselves are counted.
  while (!checkpoints_.empty() && checkpoints_.front().sequence < floor_) checkpoints_.pop_front();
  std::uint64_t from = floor_;
  if (!checkpoints_.empty()) {
    const Checkpoint& last = checkpoints_.back();
    totals_ = {last.sequence - 1, last.bytes, last.messages};
    from = last.sequence;
  }
  totals_.head = std::max(totals_.head, floor_ - 1);
  const std::unique_ptr<rocksdb::Iterator> at(
      database.db().NewIterator(rocksdb::ReadOptions(), database.outcomes()));
  for (at->Seek(OutcomeKey(from)); at->Valid(); at->Next()) {
    if (checkpoints_.empty()) checkpoints_.push_back({BigEndian(ToView(at->key())), now, 0, 0});
    totals_.head = BigEndian(ToView(at->key())) + OutcomeCount(ToView(at->value())) - 1;
    totals_.bytes += at->key().size() + at->value().size() + kHistoryKeyBytes;
    ++totals_.messages;  // those that were not final among them do not matter in one run
  }
  return at->status().ok() ? absl::OkStatus() : ReadError(at->status());
}

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
  if (op.kind == WriteOp::Kind::kConsumer) {
    const auto known = consumers_.find(op.content);
    const std::uint64_t old = known == consumers_.end() ? 0 : known->second.cursor;
    Consumer& consumer = pending_.consumers[op.content];
    consumer.cursor = std::max({consumer.cursor, old, op.sequence});
    consumer.seen = now;
  }
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
         totals.messages - since.messages >
             std::max<std::uint64_t>(retention_.finished_messages / kRuns, 1) ||
         now - since.time >= run_time_;
}

void OutcomeBook::Write(Database& database, Batch& batch) {
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
  pending_ = {};
  if (look_) Look(now);
  if (changed) Publish();
  if (tell) Tell();
}

// Someone has not acknowledged all of a run that ends at `end` and is not too old for that.
bool OutcomeBook::Wanted(const Checkpoint& begin, const Checkpoint& end, absl::Time now) const {
  if (totals_.bytes - begin.bytes > retention_.bytes) return false;
  if (end.time + retention_.outcomes_for <= now) return false;
  return consumers_.empty() ||
         std::any_of(consumers_.begin(), consumers_.end(),
                     [&](const auto& c) { return c.second.cursor + 1 < end.sequence; });
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
  history_floor_ = std::max(history_floor_, floor_);
  for (std::size_t i = 0; i + 1 < checkpoints_.size(); ++i) {
    const Checkpoint& end = checkpoints_[i + 1];
    const bool fits = totals_.bytes - checkpoints_[i].bytes <= retention_.bytes;
    const bool in_history = fits && InHistory(end, now);
    if (!in_history) history_floor_ = std::max(history_floor_, end.sequence);
    dropping = dropping && !in_history && !Wanted(checkpoints_[i], end, now);
    if (dropping) drop_to_ = std::max(drop_to_, end.sequence);
  }
  for (auto at = consumers_.begin(); at != consumers_.end();) {
    // Its record stays in the spool until the name is used again; it counts for nothing.
    const bool forget = at->second.seen + kForgetAfter <= now;
    consumers_changed_ = consumers_changed_ || forget;
    at = forget ? consumers_.erase(at) : std::next(at);
  }
}

bool OutcomeBook::Due(absl::Time now) {
  if (now >= next_look_ && patience() != absl::InfiniteDuration()) {
    Look(now);
    Publish();
  }
  return drop_to_ > floor_;
}

absl::Duration OutcomeBook::patience() const {
  if (drop_to_ > floor_) return absl::ZeroDuration();
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
  for (const auto& [name, consumer] : consumers_) {
    cursors_[name] = consumer.cursor;
    coming_.erase(name);
  }
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
  const auto found = cursors_.find(consumer);
  if (found == cursors_.end()) return std::nullopt;
  return found->second;
}

absl::Status OutcomeBook::Reserve(const std::string& consumer) {
  base::MutexLock lock(mu_);
  if (cursors_.contains(consumer) || coming_.contains(consumer)) return absl::OkStatus();
  if (cursors_.size() + coming_.size() >= OutcomeSource::kMaxConsumers) {
    return absl::ResourceExhaustedError(absl::StrCat("consumer: ", OutcomeSource::kMaxConsumers,
                                                     " names are known, and that is the limit"));
  }
  const std::string owner = consumer.substr(0, consumer.find('\0') + 1);  // "": it has none
  const auto is_of = [&owner](const std::string& name) { return absl::StartsWith(name, owner); };
  const auto of_owner = std::count_if(cursors_.begin(), cursors_.end(),
                                      [&](const auto& entry) { return is_of(entry.first); }) +
                        std::count_if(coming_.begin(), coming_.end(), is_of);
  if (!owner.empty() && static_cast<std::size_t>(of_owner) >= OutcomeSource::kMaxConsumersOfOwner) {
    return absl::ResourceExhaustedError(
        absl::StrCat("consumer: the identity has ", of_owner, " names, and that is the limit"));
  }
  coming_.insert(consumer);
  return absl::OkStatus();
}

void OutcomeBook::AddListener(std::weak_ptr<OutcomeListener> listener) {
  base::MutexLock lock(mu_);
  std::erase_if(listeners_, [](const auto& one) { return one.expired(); });
  listeners_.push_back(std::move(listener));
}

}  // namespace postern::spool

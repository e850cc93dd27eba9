// OutcomeBook, second half: what it reads at the start.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/base/log.h"
#include "server/spool/outcome_book.h"
#include "server/spool/outcome_seek.h"
#include "server/spool/reading.h"
#include "server/spool/wire.h"

namespace postern::spool {
namespace {

// Recipients of a message (delivery.proto): as many outcomes may be in a record that cannot be
// read.
constexpr std::uint64_t kMostOutcomes = 10'000;

}  // namespace

absl::Status OutcomeBook::Load(Database& database, absl::Time now) {
  if (absl::Status status = LoadBooks(database); !status.ok()) return status;
  if (log_ == 0) log_ = base::RandomUint64() | 1;
  if (absl::Status status = LoadTail(database, now); !status.ok()) return status;
  // A number that was acknowledged was given: it is not given again, even if its record is gone.
  for (const auto& [name, consumer] : consumers_) {
    totals_.head = std::max(totals_.head, consumer.cursor);
  }
  if (checkpoints_.empty() && floor_ <= totals_.head) {
    floor_ = totals_.head + 1;  // nothing is kept
    log_written_ = false;       // and that is written with the next outcome
  }
  next_ = totals_.head + 1;
  drop_to_ = history_floor_ = floor_;
  Look(now);
  Publish();
  return absl::OkStatus();
}

absl::Status OutcomeBook::LoadBooks(Database& database) {
  const auto damaged = [&](const absl::Status& status) {
    metrics_.records_set_aside.Add();
    base::Log().error("spool: a record of the outcomes' books cannot be read: {}",
                      status.ToString());
  };
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
    if (!status.ok()) damaged(status);
  }
  const absl::Status status =
      at->status().ok() ? absl::OkStatus() : ReadError("books", at->status());
  // Without a part of the books the outcomes are still there: they are told again.
  if (absl::IsDataLoss(status)) damaged(status);
  if (!log_written_ && !checkpoints_.empty()) floor_ = checkpoints_.front().sequence;
  return absl::IsDataLoss(status) ? absl::OkStatus() : status;
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
  for (;;) {
    const std::unique_ptr<rocksdb::Iterator> at(
        database.db().NewIterator(rocksdb::ReadOptions(), database.outcomes()));
    for (at->Seek(OutcomeKey(from)); at->Valid(); at->Next()) {
      if (checkpoints_.empty()) checkpoints_.push_back({BigEndian(ToView(at->key())), now, 0, 0});
      totals_.head = BigEndian(ToView(at->key())) + OutcomeCount(ToView(at->value())) - 1;
      totals_.bytes += at->key().size() + at->value().size() + kHistoryKeyBytes;
      ++totals_.messages;  // those that were not final among them do not matter in one run
      from = totals_.head + 1;
    }
    if (at->status().ok()) return absl::OkStatus();
    const absl::Status status = ReadError("the outcomes", at->status());
    const std::uint64_t readable = absl::IsDataLoss(status) ? FirstReadable(database, from) : 0;
    if (readable == 0) return status;
    metrics_.records_set_aside.Add();
    base::Log().error("spool: outcomes {} to {} cannot be read and are left out: {}", from,
                      readable - 1, status.ToString());
    // If nothing comes behind them, the last may have been a record of many outcomes.
    totals_.head = readable - 1 + kMostOutcomes;
    from = readable;
  }
}

}  // namespace postern::spool

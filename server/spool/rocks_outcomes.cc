// RocksSpool, second half: what was recorded of rows: outcomes in order, and finished messages.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/log.h"
#include "server/spool/database.h"
#include "server/spool/outcome_book.h"
#include "server/spool/outcome_codec.h"
#include "server/spool/outcome_seek.h"
#include "server/spool/reading.h"
#include "server/spool/rocks_spool.h"
#include "server/spool/spool_metrics.h"
#include "server/spool/wire.h"
#include "server/spool/write_queue.h"

namespace postern::spool {

OutcomeSource::Range RocksSpool::OutcomeRange() const { return book_->range(); }

absl::StatusOr<std::vector<OutcomeRecord>> RocksSpool::ReadOutcomes(std::uint64_t after,
                                                                    std::size_t max_outcomes,
                                                                    std::size_t max_bytes) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  const std::uint64_t first = std::max(after + 1, book_->range().oldest);
  // What is dropped is not walked over.
  const std::string floor = OutcomeKey(book_->range().oldest);
  const rocksdb::Slice lower = floor;
  rocksdb::ReadOptions options;
  options.fill_cache = false;  // an outcome is read about once, soon after it was written
  options.iterate_lower_bound = &lower;
  std::vector<OutcomeRecord> records;
  std::size_t outcomes = 0;
  std::size_t bytes = 0;
  std::uint64_t next = first;
  for (;;) {
    const std::unique_ptr<rocksdb::Iterator> at = OutcomesFrom(*database, options, next);
    for (; at->Valid() && outcomes < max_outcomes && bytes < max_bytes; at->Next()) {
      const std::uint64_t sequence = BigEndian(ToView(at->key()));
      next = sequence + OutcomeCount(ToView(at->value()));
      absl::StatusOr<OutcomeRecord> record = DecodeOutcome(ToView(at->key()), ToView(at->value()));
      if (!record.ok()) {
        CountUnreadable(sequence, record.status());
        continue;
      }
      outcomes += record->news.size();
      bytes += at->value().size();
      records.push_back(*std::move(record));
    }
    if (at->status().ok()) return records;
    const absl::Status status = ReadError("the outcomes", at->status());
    if (!absl::IsDataLoss(status)) return status;
    if (!records.empty()) return records;  // the damage is behind them
    const std::uint64_t readable = FirstReadable(*database, next);
    if (readable == 0) return status;
    CountDamage(next, readable, status);
    next = readable;
  }
}

std::optional<std::uint64_t> RocksSpool::ConsumerCursor(const std::string& consumer) const {
  return book_->CursorOf(consumer);
}

absl::Status RocksSpool::SetConsumerCursor(const std::string& consumer, std::uint64_t upto) {
  const absl::StatusOr<bool> first = book_->Ask(consumer, upto, absl::Now());
  if (!first.ok()) return first.status();
  if (*first) {
    WriteOp op;
    op.kind = WriteOp::Kind::kConsumer;
    queue_->Push(std::move(op));
  }
  return absl::OkStatus();
}

void RocksSpool::AddOutcomeListener(std::weak_ptr<OutcomeListener> listener) {
  book_->AddListener(std::move(listener));
}

void RocksSpool::CountUnreadable(std::uint64_t sequence, const absl::Status& why) const {
  metrics_->records_set_aside.Add();
  base::Log().error("spool: outcome {} cannot be read and is left out: {}", sequence,
                    why.ToString());
}

void RocksSpool::CountDamage(std::uint64_t from, std::uint64_t end, const absl::Status& why) const {
  // Everyone who reads comes by.
  if (damage_told_.exchange(from) == from) return;
  metrics_->records_set_aside.Add();
  base::Log().error("spool: outcomes {} to {} cannot be read and are left out: {}", from, end - 1,
                    why.ToString());
}

absl::StatusOr<std::optional<OutcomeRecord>> RocksSpool::ReadOutcome(Database& database,
                                                                     std::uint64_t sequence) const {
  const std::string key = OutcomeKey(sequence);
  rocksdb::PinnableSlice value;
  const rocksdb::Status status =
      database.db().Get(rocksdb::ReadOptions(), database.outcomes(), key, &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return ReadError("the history", status);
  absl::StatusOr<OutcomeRecord> record = DecodeOutcome(key, ToView(value));
  if (record.ok()) return std::optional<OutcomeRecord>(*std::move(record));
  CountUnreadable(sequence, record.status());
  return std::nullopt;
}

absl::Status RocksSpool::ScanHistory(
    Database& database, absl::string_view start, absl::string_view end,
    const std::function<bool(const base::Id&, std::uint16_t, std::uint64_t)>& each) const {
  const std::uint64_t floor = book_->history_floor();
  const rocksdb::Slice bound = ToSlice(end);
  rocksdb::ReadOptions options;
  if (!end.empty()) options.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> at(
      database.db().NewIterator(options, database.history()));
  for (at->Seek(ToSlice(start)); at->Valid(); at->Next()) {
    const absl::string_view key = ToView(at->key());
    if (key.size() != kHistoryKeyBytes) continue;
    const std::uint64_t sequence = HistorySequence(key);
    // Compaction has not come by yet.
    if (sequence < floor) continue;
    if (!each(*base::IdFromKey(key.substr(0, 16)), RowIndex(key), sequence)) break;
  }
  return at->status().ok() ? absl::OkStatus() : ReadError("the history", at->status());
}

absl::StatusOr<std::vector<OutcomeRecord>> RocksSpool::ReadHistory(
    const base::Id& message_id) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  std::vector<OutcomeRecord> records;
  absl::Status failure;
  const absl::Status status = ScanHistory(
      *database, message_id.AsKey(), KeyAbove(message_id),
      [&](const base::Id&, std::uint16_t, std::uint64_t sequence) {
        absl::StatusOr<std::optional<OutcomeRecord>> record = ReadOutcome(*database, sequence);
        failure = record.status();
        if (record.ok() && record->has_value()) records.push_back(**std::move(record));
        return failure.ok();
      });
  if (!status.ok()) return status;
  if (!failure.ok()) return failure;
  if (!records.empty()) return records;
  return absl::NotFoundError(absl::StrCat("spool: no history of ", message_id.ToString()));
}

absl::StatusOr<std::vector<mail::Row>> RocksSpool::FinishedRows(
    Database& database, const std::map<std::uint16_t, std::uint64_t>& last) const {
  const Retention& retention = book_->retention();
  std::vector<mail::Row> rows;
  absl::Time finished = absl::InfinitePast();
  if (retention.finished_messages == 0) return rows;
  for (const auto& [index, sequence] : last) {
    absl::StatusOr<std::optional<OutcomeRecord>> record = ReadOutcome(database, sequence);
    if (!record.ok()) return record.status();
    // All or nothing: a row that is queued still, or whose record is gone.
    if (!record->has_value() || !(**record).row.final()) return std::vector<mail::Row>();
    finished = std::max(finished, (**record).time);
    rows.push_back(std::move((**record).row));
  }
  const bool whole = !rows.empty() && rows.size() == rows.front().row_count;
  const bool kept = finished + retention.finished_for > absl::Now();
  if (!whole || !kept) rows.clear();
  return rows;
}

absl::StatusOr<std::vector<mail::Row>> RocksSpool::ReadFinished(const base::Id& message_id) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  std::map<std::uint16_t, std::uint64_t> last;
  const absl::Status status =
      ScanHistory(*database, message_id.AsKey(), KeyAbove(message_id),
                  [&](const base::Id&, std::uint16_t index, std::uint64_t sequence) {
                    last[index] = sequence;
                    return true;
                  });
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<mail::Row>> rows = FinishedRows(*database, last);
  if (!rows.ok() || !rows->empty()) return rows;
  return absl::NotFoundError(
      absl::StrCat("spool: no finished message ", message_id.ToString(), " is kept"));
}

absl::Status RocksSpool::ForEachFinished(
    const base::Id& after, const std::function<bool(std::vector<mail::Row>)>& each) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  const std::string start = KeyAbove(after);
  if (start.empty()) return absl::OkStatus();
  base::Id current;
  std::map<std::uint16_t, std::uint64_t> last;
  absl::Status failure;
  bool wanted = true;
  const auto take = [&] {
    absl::StatusOr<std::vector<mail::Row>> rows = FinishedRows(*database, std::exchange(last, {}));
    failure = rows.status();
    if (rows.ok() && !rows->empty()) wanted = each(*std::move(rows));
    return failure.ok() && wanted;
  };
  const absl::Status status = ScanHistory(
      *database, start, {}, [&](const base::Id& id, std::uint16_t index, std::uint64_t sequence) {
        if (id != current && !last.empty() && !take()) return false;
        current = id;
        last[index] = sequence;
        return true;
      });
  if (status.ok() && failure.ok() && wanted && !last.empty()) take();
  return status.ok() ? failure : status;
}

}  // namespace postern::spool

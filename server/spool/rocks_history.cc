// RocksSpool, third part: what was recorded of a message, and finished messages.
#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/spool/database.h"
#include "server/spool/outcome_book.h"
#include "server/spool/outcome_codec.h"
#include "server/spool/reading.h"
#include "server/spool/rocks_spool.h"
#include "server/spool/wire.h"

namespace postern::spool {

absl::StatusOr<std::optional<OutcomeRecord>> RocksSpool::ReadOutcome(Database& database,
                                                                     std::uint64_t sequence) const {
  const std::string key = OutcomeKey(sequence);
  rocksdb::PinnableSlice value;
  const rocksdb::Status status =
      database.db().Get(rocksdb::ReadOptions(), database.outcomes(), key, &value);
  if (status.IsNotFound()) return std::nullopt;
  if (status.IsCorruption()) {
    CountDamage(sequence, sequence + 1, ReadError("the history", status));
    return std::nullopt;
  }
  if (!status.ok()) return ReadError("the history", status);
  absl::StatusOr<OutcomeRecord> record = DecodeOutcome(key, ToView(value));
  if (record.ok()) return std::optional<OutcomeRecord>(*std::move(record));
  CountUnreadable(sequence, record.status());
  return std::nullopt;
}

absl::Status RocksSpool::ScanHistory(Database& database, absl::string_view start,
                                     absl::string_view end,
                                     const std::function<bool(const HistoryEntry&)>& each) const {
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
    const HistoryEntry entry{*base::IdFromKey(key.substr(0, 16)), RowIndex(key), sequence,
                             sequence >= floor};
    if (!each(entry)) break;
  }
  return at->status().ok() ? absl::OkStatus() : ReadError("the history", at->status());
}

absl::StatusOr<std::vector<OutcomeRecord>> RocksSpool::ReadHistory(
    const base::Id& message_id) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  std::map<std::uint16_t, std::deque<std::uint64_t>> last;
  const absl::Status status = ScanHistory(*database, message_id.AsKey(), KeyAbove(message_id),
                                          [&](const HistoryEntry& entry) {
                                            if (!entry.kept) return true;
                                            std::deque<std::uint64_t>& row = last[entry.index];
                                            row.push_back(entry.sequence);
                                            if (row.size() > kHistoryPerRow) row.pop_front();
                                            return true;
                                          });
  if (!status.ok()) return status;
  const std::size_t most =
      std::max<std::size_t>(kHistoryPerMessage / std::max<std::size_t>(last.size(), 1), 1);
  std::vector<OutcomeRecord> records;
  for (auto& [index, row] : last) {
    while (row.size() > most) row.pop_front();
    for (const std::uint64_t sequence : row) {
      absl::StatusOr<std::optional<OutcomeRecord>> record = ReadOutcome(*database, sequence);
      if (!record.ok()) return record.status();
      if (record->has_value()) records.push_back(**std::move(record));
    }
  }
  if (!records.empty()) return records;
  return absl::NotFoundError(absl::StrCat("spool: no history of ", message_id.ToString()));
}

absl::StatusOr<RocksSpool::Finished> RocksSpool::FinishedRows(
    Database& database, const std::map<std::uint16_t, std::uint64_t>& last) const {
  Finished finished;
  absl::Time when = absl::InfinitePast();
  for (const auto& [index, sequence] : last) {
    absl::StatusOr<std::optional<OutcomeRecord>> record = ReadOutcome(database, sequence);
    if (!record.ok()) return record.status();
    // A row that is queued still, or whose record is gone.
    if (!record->has_value() || !(**record).row.final()) continue;
    when = std::max(when, (**record).time);
    finished.rows.push_back(std::move((**record).row));
  }
  finished.whole =
      !finished.rows.empty() && finished.rows.size() == finished.rows.front().row_count;
  if (when + book_->retention().finished_for <= absl::Now()) finished.rows.clear();
  return finished;
}

absl::StatusOr<bool> RocksSpool::IsQueued(Database& database, const base::Id& message_id) const {
  const std::string end = KeyAbove(message_id);
  const rocksdb::Slice bound = end;
  rocksdb::ReadOptions options;
  if (!end.empty()) options.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> at(database.db().NewIterator(options, database.state()));
  at->Seek(ToSlice(message_id.AsKey()));
  if (!at->status().ok()) return ReadError("the rows", at->status());
  return at->Valid();
}

absl::StatusOr<std::vector<mail::Row>> RocksSpool::RowsOfFinished(
    Database& database, const base::Id& message_id) const {
  // In this order: what is not queued any more has all its outcomes.
  const absl::StatusOr<bool> queued = IsQueued(database, message_id);
  if (!queued.ok()) return queued.status();
  if (*queued) return std::vector<mail::Row>();
  std::map<std::uint16_t, std::uint64_t> last;
  const absl::Status status = ScanHistory(database, message_id.AsKey(), KeyAbove(message_id),
                                          [&](const HistoryEntry& entry) {
                                            if (entry.kept) last[entry.index] = entry.sequence;
                                            return true;
                                          });
  if (!status.ok()) return status;
  absl::StatusOr<Finished> finished = FinishedRows(database, last);
  if (!finished.ok()) return finished.status();
  return std::move(finished->rows);
}

absl::StatusOr<std::vector<mail::Row>> RocksSpool::ReadFinished(const base::Id& message_id) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  std::vector<mail::Row> rows;
  if (book_->keeps_history()) {
    absl::StatusOr<std::vector<mail::Row>> found = RowsOfFinished(*database, message_id);
    if (!found.ok()) return found.status();
    rows = *std::move(found);
  }
  if (!rows.empty()) return rows;
  return absl::NotFoundError(
      absl::StrCat("spool: no finished message ", message_id.ToString(), " is kept"));
}

absl::StatusOr<base::Id> RocksSpool::ForEachFinished(
    const base::Id& after, std::size_t max_entries,
    const std::function<bool(std::vector<mail::Row>)>& each) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  const std::string start = KeyAbove(after);
  if (start.empty() || !book_->keeps_history()) return base::Id{};
  base::Id current;
  std::map<std::uint16_t, std::uint64_t> last;  // of its rows
  std::size_t entries = 0;
  absl::Status failure;
  const auto take = [&] {
    if (last.empty()) return true;
    absl::StatusOr<Finished> finished = FinishedRows(*database, std::exchange(last, {}));
    failure = finished.status();
    if (!failure.ok()) return false;
    if (!finished->whole) {
      // Queued still, or partly gone: as it is now, since the scan may be older.
      absl::StatusOr<std::vector<mail::Row>> rows = RowsOfFinished(*database, current);
      failure = rows.status();
      if (!failure.ok()) return false;
      finished->rows = *std::move(rows);
    }
    return finished->rows.empty() || each(std::move(finished->rows));
  };
  bool cut = false;
  bool wanted = true;
  const absl::Status status = ScanHistory(*database, start, {}, [&](const HistoryEntry& entry) {
    if (entry.message_id != current) {
      wanted = take();
      cut = wanted && entries >= max_entries;
      if (cut || !wanted) return false;
      current = entry.message_id;
    }
    ++entries;
    if (entry.kept) last[entry.index] = entry.sequence;
    return true;
  });
  if (!status.ok()) return status;
  if (!cut && wanted) take();
  if (!failure.ok()) return failure;
  return cut ? current : base::Id{};
}

}  // namespace postern::spool

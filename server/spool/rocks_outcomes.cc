// RocksSpool, second part: outcomes in order, and who has read how far.
#include <algorithm>
#include <utility>

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
  if (*first) queue_->Push(MakeOp(WriteOp::Kind::kConsumer));
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

}  // namespace postern::spool

// RocksSpool: the spool on disk. FORMAT.md says what it writes, spool.h what it promises.
//
//   auto spool = spool::RocksSpool::Open({.directory = "/var/spool/postern", .registry =
//   &registry});
//
// Encoding happens on the caller's thread, writing on one thread (writer.h), reading on the
// caller's.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/metrics.h"
#include "server/spool/spool.h"

namespace postern::spool {

class Database;
class DatabaseHolder;
class OutcomeBook;
class SetAside;
class WriteQueue;
class Writer;
struct Expiry;
struct SpoolMetrics;
struct WriteOp;

class RocksSpool final : public Spool, public OutcomeSource {
 public:
  struct Options {
    std::string directory;
    // With less than this free on the file system, Store is refused while all else goes on: room to
    // record outcomes and to clean up. 0: no reserve.
    std::uint64_t min_free_bytes = std::uint64_t{64} << 20;
    base::Registry* registry = nullptr;  // must outlive the spool; null: metrics are not shown
    absl::Duration retry_interval = absl::Milliseconds(250);  // between attempts to recover
    Retention retention{};
    absl::Duration token_ttl = absl::Hours(24);
  };
  struct WriteCounts {
    std::uint64_t batches;
    std::uint64_t syncs;
  };

  // Opens or creates. Errors name the directory and the cause. FAILED_PRECONDITION: another process
  // uses it; PERMISSION_DENIED; UNAVAILABLE: I/O error, no space; DATA_LOSS: damaged beyond the
  // log.
  static absl::StatusOr<std::unique_ptr<RocksSpool>> Open(Options options);
  // Writes what waits and can be written, then closes. No call may be made any more, and callbacks
  // may come until it returns; those of WhenWritten that are not due are dropped.
  ~RocksSpool() override;

  void Store(std::string content, const std::vector<mail::Row>& rows, Done done) override;
  void StoreOnce(TokenClaim claim, std::string content, const std::vector<mail::Row>& rows,
                 DoneOnce done) override;
  void Update(const mail::Row& row, const AttemptRef& attempt) override;
  void Finish(const mail::Row& row, const AttemptRef& attempt) override;
  Ticket MarkAttempt(const mail::Row& row, const std::vector<std::size_t>& offered) override;
  bool IsWritten(Ticket ticket) const override;
  void WhenWritten(Ticket ticket, std::function<void()> done) override;
  void Remove(const base::Id& message_id, int row_count) override;
  void PutNote(std::string key, std::string value) override;
  absl::Status ForEachNote(
      absl::string_view prefix,
      const std::function<void(const std::string& key, const std::string& value)>& each)
      const override;
  Ticket Latest() const override;

  // These: UNAVAILABLE while the database is being reopened or on an I/O error.
  absl::StatusOr<std::string> ReadContent(const base::Id& message_id) const override;
  absl::StatusOr<std::vector<mail::Row>> ReadRows(const base::Id& message_id) const override;
  absl::Status ForEachRow(const base::Id& after,
                          const std::function<bool(mail::Row)>& each) const override;
  absl::StatusOr<std::vector<OutcomeRecord>> ReadHistory(const base::Id& message_id) const override;
  absl::StatusOr<std::vector<mail::Row>> ReadFinished(const base::Id& message_id) const override;
  absl::StatusOr<base::Id> ForEachFinished(
      const base::Id& after, std::size_t max_entries,
      const std::function<bool(std::vector<mail::Row>)>& each) const override;
  bool healthy() const override;

  Range OutcomeRange() const override;
  absl::StatusOr<std::vector<OutcomeRecord>> ReadOutcomes(std::uint64_t after,
                                                          std::size_t max_outcomes,
                                                          std::size_t max_bytes) const override;
  std::optional<std::uint64_t> ConsumerCursor(const std::string& consumer) const override;
  absl::Status SetConsumerCursor(const std::string& consumer, std::uint64_t upto) override;
  void AddOutcomeListener(std::weak_ptr<OutcomeListener> listener) override;

  // Writes and syncs since the registry's beginning. Thread: any.
  WriteCounts counts() const;

 private:
  explicit RocksSpool(const Options& options);
  // Calls `each` for the rows from `start` on, below `end` (empty: all).
  absl::Status Scan(absl::string_view start, absl::string_view end,
                    const std::function<bool(mail::Row)>& each) const;

  WriteOp MakeStore(std::string content, const std::vector<mail::Row>& rows) const;
  // The record at `sequence`; nullopt: it is dropped, or cannot be read (which is counted).
  absl::StatusOr<std::optional<OutcomeRecord>> ReadOutcome(Database& database,
                                                           std::uint64_t sequence) const;
  struct HistoryEntry {
    base::Id message_id;
    std::uint16_t index;
    std::uint64_t sequence;
    bool kept;  // else compaction has not come by yet
  };
  // Calls `each` for every entry of the history from `start` on, below `end` (empty: all), until it
  // returns false.
  absl::Status ScanHistory(Database& database, absl::string_view start, absl::string_view end,
                           const std::function<bool(const HistoryEntry&)>& each) const;
  struct Finished {
    std::vector<mail::Row> rows;  // those that are final and kept
    bool whole = false;           // they are all the message had
  };
  // `last`: the last entry of each of a message's rows.
  absl::StatusOr<Finished> FinishedRows(Database& database,
                                        const std::map<std::uint16_t, std::uint64_t>& last) const;
  absl::StatusOr<bool> IsQueued(Database& database, const base::Id& message_id) const;
  // Empty: it is queued, or not kept.
  absl::StatusOr<std::vector<mail::Row>> RowsOfFinished(Database& database,
                                                        const base::Id& message_id) const;
  void CountUnreadable(std::uint64_t sequence, const absl::Status& why) const;
  // The outcomes from `from` up to, not including, `end` cannot be read.
  void CountDamage(std::uint64_t from, std::uint64_t end, const absl::Status& why) const;

  const std::uint64_t epoch_;  // of this process, in its attempt marks
  std::unique_ptr<base::Registry> own_registry_;
  std::unique_ptr<SpoolMetrics> metrics_;
  std::unique_ptr<SetAside> set_aside_;
  std::shared_ptr<Expiry> expiry_;
  std::unique_ptr<OutcomeBook> book_;
  std::unique_ptr<DatabaseHolder> holder_;
  std::unique_ptr<WriteQueue> queue_;
  mutable std::atomic<std::uint64_t> damage_told_{0};  // where the last damage that was told begins
  std::unique_ptr<Writer> writer_;                     // last: its thread uses the others
};

}  // namespace postern::spool

// OutcomeBook: numbers the outcomes, knows what is kept of them and for whom, and lets the old go.
//
// Outcomes go in runs, from one checkpoint to the next, about sixty to what is kept: so their ages
// and sizes are known without looking at them, after a restart too. A run goes by a range deletion
// in a later write. What a write changes here is pending until the write has succeeded.
//
// Thread: the writer's, except for the last section.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/spool/batch.h"
#include "server/spool/database.h"
#include "server/spool/outcome.h"
#include "server/spool/outcome_codec.h"
#include "server/spool/spool_metrics.h"
#include "server/spool/write_queue.h"

namespace postern::spool {

class OutcomeBook {
 public:
  // `metrics` must outlive the book.
  OutcomeBook(const Retention& retention, std::shared_ptr<Expiry> expiry, SpoolMetrics& metrics);

  // Reads how far it got, once, before the writer starts. What is damaged is counted, logged and
  // left out; numbers never go back behind one that a consumer may have seen. UNAVAILABLE: I/O
  // error. DATA_LOSS: nothing can be read at all.
  absl::Status Load(Database& database, absl::Time now);

  // Numbers the operation's outcomes. Once for each operation, in order.
  void Admit(WriteOp& op);
  // A write begins: what was pending is forgotten.
  void Begin();
  // The operation is part of it.
  void Add(const WriteOp& op, absl::Time now);
  // Adds the book's own records to it.
  void Write(Database& database, Batch& batch);
  // It has succeeded.
  void Committed(Database& database, absl::Time now);

  // There is something to write although nobody asks for it. Looks at the clock now and then.
  bool Due(absl::Time now);
  // How long the writer may sleep; infinite while nothing is kept.
  absl::Duration patience() const;

  // --- Thread: any ---

  OutcomeSource::Range range() const;
  // The first outcome that a finished message may rest on.
  std::uint64_t history_floor() const;
  const Retention& retention() const { return retention_; }
  // False: finished messages are not answered.
  bool keeps_history() const { return keeps_history_; }
  std::optional<std::uint64_t> CursorOf(const std::string& consumer) const;
  // Notes a consumer's cursor for the next write; those that come before that are one. True: an
  // operation is to be queued, so that there is a write. RESOURCE_EXHAUSTED as
  // OutcomeSource::SetConsumerCursor.
  absl::StatusOr<bool> Ask(const std::string& consumer, std::uint64_t upto, absl::Time now);
  void AddListener(std::weak_ptr<OutcomeListener> listener);

 private:
  struct Totals {
    std::uint64_t head = 0;  // the last outcome
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
  };
  struct Pending {
    Totals totals;
    std::vector<Checkpoint> checkpoints;
    std::map<std::string, Consumer> consumers;
    bool outcomes = false;
    bool log = false;           // the log's record is part of the write
    std::uint64_t drop_to = 0;  // 0: nothing is dropped
  };

  // May this new name be known too?
  absl::Status HasRoomFor(const std::string& consumer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status LoadBooks(Database& database);
  absl::Status LoadTail(Database& database, absl::Time now);
  // Takes over what was asked for since the last write.
  void TakeAsked();
  void ForgetWritten(const std::map<std::string, Consumer>& written);
  bool RunIsFull(const Totals& totals, const Checkpoint& since, absl::Time now) const;
  // The last outcome that nobody waits for any more.
  std::uint64_t AcknowledgedByAll() const;
  bool Wanted(const Checkpoint& begin, const Checkpoint& end, std::uint64_t acknowledged,
              absl::Time now) const;
  bool InHistory(const Checkpoint& end, absl::Time now) const;
  // Finds how far may be dropped, and what is history.
  void Look(absl::Time now);
  // Joins runs that are finer than they need be, now that they are not history any more: so their
  // number is bounded.
  void Join();
  void Publish();
  void Tell();

  const Retention retention_;
  const bool keeps_history_;
  const absl::Duration outcome_run_time_;  // of a run that only outcomes are kept for
  const absl::Duration run_time_;
  const std::shared_ptr<Expiry> expiry_;
  SpoolMetrics& metrics_;
  std::uint64_t log_ = 0;
  bool log_written_ = false;
  std::uint64_t next_ = 1;  // the number of the next outcome that is admitted
  std::uint64_t floor_ = 1;
  std::uint64_t drop_to_ = 1;  // above floor_: so far it may be dropped
  std::uint64_t history_floor_ = 1;
  Totals totals_;
  std::deque<Checkpoint> checkpoints_;  // the first at floor_, unless there are no outcomes
  std::vector<Checkpoint> unsaved_;     // those of them that ride in the next write
  std::vector<std::uint64_t> joined_;   // checkpoints whose deletion rides in the next write
  std::map<std::string, Consumer> consumers_;
  Pending pending_;
  bool look_ = false;
  bool asked_again_ = false;  // a cursor was asked for while another of its consumer was written
  bool consumers_changed_ = true;
  absl::Time next_look_ = absl::InfinitePast();

  mutable base::Mutex mu_;
  OutcomeSource::Range range_ ABSL_GUARDED_BY(mu_);
  std::uint64_t shown_history_floor_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<std::string, std::uint64_t> cursors_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Consumer> asked_ ABSL_GUARDED_BY(mu_);  // not written yet
  std::vector<std::weak_ptr<OutcomeListener>> listeners_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::spool

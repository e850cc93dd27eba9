// Writer: the one thread that writes the spool.
//
// It takes what waits, up to 1024 operations or 8 MiB, as one write, synced once if anything in it
// asks for that, and then answers. When a write fails it answers the Stores, keeps everything else
// in order, and tries to recover until it can; meanwhile healthy() is false and Stores are refused
// as they come. A process cannot lose an outcome to a full disk this way, only be held up by it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/spool/batch.h"
#include "server/spool/database.h"
#include "server/spool/outcome_book.h"
#include "server/spool/spool_metrics.h"
#include "server/spool/tokens.h"
#include "server/spool/write_queue.h"

namespace postern::spool {

class Writer {
 public:
  struct Options {
    std::string directory;
    std::uint64_t min_free_bytes = 0;
    absl::Duration retry_interval;
    std::uint64_t epoch = 0;
    std::shared_ptr<Expiry> expiry;
  };

  // Starts the thread. REQUIRES: queue, holder (with an open database), book (loaded) and metrics
  // outlive it.
  Writer(Options options, WriteQueue& queue, DatabaseHolder& holder, OutcomeBook& book,
         SpoolMetrics& metrics);
  // Stops the queue, writes what can be written, answers the rest UNAVAILABLE and ends the thread.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Thread: any.
  bool healthy() const { return healthy_.load(std::memory_order_acquire); }

 private:
  struct StoreAnswer {
    Spool::Done done;
    absl::Status status;
  };
  struct OnceAnswer {
    Spool::DoneOnce done;
    absl::StatusOr<std::optional<StoredMessage>> result;
  };
  struct Refused {
    base::Id message_id;
    int row_count;
    std::string token;  // its key, or empty
  };

  void Run();
  // Writes the front of the work; false if that failed (and healthy() is false from then on).
  bool Commit();
  // How many operations from the front go into the next write.
  std::size_t Choose() const;
  void Fill(Database& database, std::size_t count);
  // False if the Store is not to be written: refused, or its token is known.
  bool Admit(Database& database, WriteOp& op);
  // The write of the first `count` operations succeeded.
  void Finish(std::size_t count);
  // OK if `bytes` more may be stored without touching the reserve.
  absl::Status CheckSpace(std::uint64_t bytes);
  void LookAtSpace();
  void Count(const WriteOp& op);
  // A Store that is stored, or whose token was known.
  void Answer(WriteOp& op);
  // Refuses a Store; its answer waits for Reply.
  void Refuse(WriteOp& op, const absl::Status& status);
  // A write failed: refuses the first `count` operations' Stores, keeps the rest to be tried again.
  void Fail(const rocksdb::Status& status, std::size_t count);
  // While unhealthy: answers every Store that waits.
  void RefuseStores();
  // One attempt to write again: true if that succeeded.
  bool Recover();
  // Closes the database and opens it again: RocksDB 7.8 has no other way out. Its Resume() can wait
  // for ever for a flush that needs the failed log, and if it finds nothing to flush it goes on
  // with that log, which ends the process with a failed assertion.
  bool Reopen();
  // False while the disk has no room to open the database; till then it stays open for reading.
  bool MayReopen();
  void GiveUp();
  void Reply();  // calls the answers collected

  const Options options_;
  const base::SystemClock clock_;
  WriteQueue& queue_;
  DatabaseHolder& holder_;
  OutcomeBook& book_;
  SpoolMetrics& metrics_;
  std::atomic<bool> healthy_{true};

  // The thread's own.
  std::deque<WriteOp> work_;  // in order, not written
  std::vector<StoreAnswer> answers_;
  std::vector<OnceAnswer> once_answers_;
  MarkSet marks_;
  TokenDesk tokens_;
  Batch batch_;
  absl::Status failure_;              // why the spool is not healthy
  std::vector<Refused> retractions_;  // Stores answered with an error whose batch may be on disk
  std::weak_ptr<Database> closing_;   // a database that readers still hold
  absl::Time next_try_;               // steady; while unhealthy
  absl::Duration pause_;              // from one attempt to reopen to the next
  absl::Time space_checked_ = absl::InfinitePast();
  absl::Time space_told_ = absl::InfinitePast();
  std::uint64_t free_bytes_ = 0;  // at space_checked_, less what was stored since
  std::thread thread_;            // last: starts when all else is there
};

}  // namespace postern::spool

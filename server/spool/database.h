// Database: the spool's RocksDB, opened with what platform experience asks for, and its column
// families. The only file that knows RocksDB's options.
#pragma once

#include <rocksdb/db.h>

#include <rocksdb/compaction_filter.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/spool/expiry.h"
#include "server/spool/rocks_log.h"
#include "server/spool/spool_metrics.h"

namespace postern::spool {

// Closes when the last reference goes. Thread: any for reading, the writer's for writing.
class Database {
 public:
  // Opens the database in `directory`, which is created (mode 0700) if it is missing. If its log is
  // damaged before the end, copies the log's files to set-aside/<time>/, takes every record that
  // can be read, counts and logs it. Errors name the directory and the cause:
  // FAILED_PRECONDITION: another process has it. PERMISSION_DENIED, UNAVAILABLE, DATA_LOSS.
  // `expiry` says what compaction may leave out.
  static absl::StatusOr<std::shared_ptr<Database>> Open(const std::string& directory,
                                                        const std::shared_ptr<Expiry>& expiry,
                                                        SpoolMetrics& metrics);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  rocksdb::DB& db() { return *db_; }
  // How much of the log is only in memory otherwise: what opening it again writes to tables.
  std::uint64_t UnflushedBytes();
  rocksdb::ColumnFamilyHandle* content() const { return families_[kContent]; }
  rocksdb::ColumnFamilyHandle* state() const { return families_[kState]; }
  rocksdb::ColumnFamilyHandle* notes() const { return families_[kNotes]; }
  rocksdb::ColumnFamilyHandle* outcomes() const { return families_[kOutcomes]; }
  rocksdb::ColumnFamilyHandle* history() const { return families_[kHistory]; }
  rocksdb::ColumnFamilyHandle* tokens() const { return families_[kTokens]; }
  rocksdb::ColumnFamilyHandle* books() const { return families_[kBooks]; }
  // Gives the space of tables back that hold nothing but outcomes below `end`.
  void DropOutcomeFiles(absl::string_view end);

 private:
  enum Family {
    kDefault,
    kContent,
    kState,
    kNotes,
    kOutcomes,
    kHistory,
    kTokens,
    kBooks,
    kFamilies
  };

  Database(std::shared_ptr<RocksLog> log, std::shared_ptr<Expiry> expiry);
  rocksdb::Status OpenWith(const std::string& directory, rocksdb::WALRecoveryMode mode);

  std::shared_ptr<RocksLog> log_;
  std::unique_ptr<rocksdb::CompactionFilter> history_filter_, token_filter_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families_{};
};

// The database at present: null while the writer closes and reopens it after a fatal error. Whoever
// reads holds a reference, so that it is not closed under them. Thread: any.
class DatabaseHolder {
 public:
  std::shared_ptr<Database> Get() const {
    base::MutexLock lock(mu_);
    return database_;
  }
  void Set(std::shared_ptr<Database> database) {
    base::MutexLock lock(mu_);
    database_.swap(database);
  }

 private:
  mutable base::Mutex mu_;
  std::shared_ptr<Database> database_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::spool

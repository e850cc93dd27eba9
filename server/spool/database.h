// Database: the spool's RocksDB, opened with what platform experience asks for, and its column
// families. The only file that knows RocksDB's options.
#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/mutex.h"
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
  static absl::StatusOr<std::shared_ptr<Database>> Open(const std::string& directory,
                                                        SpoolMetrics& metrics);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  rocksdb::DB& db() { return *db_; }
  // How much of the log is only in memory otherwise: what opening it again writes to tables.
  std::uint64_t UnflushedBytes();
  rocksdb::ColumnFamilyHandle* content() const { return content_; }
  rocksdb::ColumnFamilyHandle* state() const { return state_; }
  rocksdb::ColumnFamilyHandle* notes() const { return notes_; }

 private:
  explicit Database(std::shared_ptr<RocksLog> log) : log_(std::move(log)) {}
  rocksdb::Status OpenWith(const std::string& directory, rocksdb::WALRecoveryMode mode);

  std::shared_ptr<RocksLog> log_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* default_ = nullptr;
  rocksdb::ColumnFamilyHandle* content_ = nullptr;
  rocksdb::ColumnFamilyHandle* state_ = nullptr;
  rocksdb::ColumnFamilyHandle* notes_ = nullptr;
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

#include "server/spool/database.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/log.h"

namespace postern::spool {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMiB = std::size_t{1} << 20;
// A table of a family with an expiry is looked through this often, if nothing else does.
constexpr std::uint64_t kExpirySeconds = 12 * 3600;

// Recovery after an error is the writer's alone: RocksDB's own retries the same failing flush.
class NoAutoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

rocksdb::DBOptions DbOptions(std::shared_ptr<rocksdb::Logger> log, rocksdb::WALRecoveryMode mode) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.info_log = std::move(log);
  options.wal_recovery_mode = mode;
  options.listeners.push_back(std::make_shared<NoAutoRecovery>());
  options.max_bgerror_resume_count = 0;
  options.max_background_jobs = 2;
  options.max_open_files = 256;
  // Memory not flushed stays below the default reserve of free space, so that it can be flushed.
  options.db_write_buffer_size = 56 * kMiB;
  options.max_total_wal_size = 128 * kMiB;
  // One thread writes: nothing to co-ordinate.
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const std::shared_ptr<rocksdb::Cache>& cache,
                                           std::size_t write_buffer_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.block_size = 16 * 1024;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = write_buffer_bytes;
  options.max_write_buffer_number = 3;
  options.compression = rocksdb::kLZ4Compression;
  return options;
}

absl::Status ErrnoStatus(const std::string& what, int error) {
  const std::string text = absl::StrCat(what, ": ", std::strerror(error));
  if (error == EACCES || error == EPERM || error == EROFS) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

absl::Status MakeDirectory(const std::string& directory) {
  if (directory.empty()) return absl::InvalidArgumentError("spool: no directory is configured");
  const fs::path path = fs::path(directory).lexically_normal();
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (error) {
    return ErrnoStatus(absl::StrCat("spool ", directory, ": cannot make its parent directory"),
                       error.value());
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(absl::StrCat("spool ", directory, ": cannot make the directory"), errno);
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("spool ", directory, ": is not a directory"));
  }
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return ErrnoStatus(absl::StrCat("spool ", directory, ": not writable"), errno);
  }
  return absl::OkStatus();
}

// Copies the log's files aside before a lossy recovery; returns where to.
absl::StatusOr<std::string> CopyLogAside(const std::string& directory) {
  const std::string name = absl::FormatTime("%Y%m%dT%H%M%E3SZ", absl::Now(), absl::UTCTimeZone());
  const fs::path to = fs::path(directory) / "set-aside" / name;
  std::error_code error;
  fs::create_directories(to, error);
  std::vector<fs::path> logs;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".log") logs.push_back(at->path());
  }
  for (const fs::path& log : logs) {
    if (error) break;
    fs::copy_file(log, to / log.filename(), error);
  }
  if (error) {
    return ErrnoStatus(
        absl::StrCat("spool ", directory, ": its log is damaged and cannot be copied aside to ",
                     to.string()),
        error.value());
  }
  return to.string();
}

absl::Status OpenError(const std::string& directory, const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (status.IsIOError() && absl::StrContains(text, "lock")) {
    return absl::FailedPreconditionError(
        absl::StrCat("spool ", directory, ": another process uses it (", text, ")"));
  }
  const std::string all = absl::StrCat("spool ", directory, ": cannot be opened: ", text);
  return status.IsCorruption() ? absl::DataLossError(all) : absl::UnavailableError(all);
}

}  // namespace

rocksdb::Status Database::OpenWith(const std::string& directory, rocksdb::WALRecoveryMode mode) {
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(32 * kMiB);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, FamilyOptions(cache, kMiB));
  families.emplace_back("content", FamilyOptions(cache, 32 * kMiB));
  families.emplace_back("state", FamilyOptions(cache, 8 * kMiB));
  families.emplace_back("notes", FamilyOptions(cache, kMiB));
  families.emplace_back("outcomes", FamilyOptions(cache, 8 * kMiB));
  rocksdb::ColumnFamilyOptions history = FamilyOptions(cache, 4 * kMiB);
  history.compaction_filter = history_filter_.get();
  history.periodic_compaction_seconds = kExpirySeconds;
  families.emplace_back("history", history);
  rocksdb::ColumnFamilyOptions tokens = FamilyOptions(cache, 4 * kMiB);
  tokens.compaction_filter = token_filter_.get();
  tokens.periodic_compaction_seconds = kExpirySeconds;
  families.emplace_back("tokens", tokens);
  families.emplace_back("books", FamilyOptions(cache, kMiB));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(DbOptions(log_, mode), directory, families, &handles, &opened);
  if (!status.ok()) return status;
  db_.reset(opened);
  std::copy(handles.begin(), handles.end(), families_.begin());
  return status;
}

Database::Database(std::shared_ptr<RocksLog> log, std::shared_ptr<Expiry> expiry)
    : log_(std::move(log)),
      history_filter_(MakeHistoryFilter(expiry)),
      token_filter_(MakeTokenFilter(std::move(expiry))) {}

absl::StatusOr<std::shared_ptr<Database>> Database::Open(const std::string& directory,
                                                         const std::shared_ptr<Expiry>& expiry,
                                                         SpoolMetrics& metrics) {
  if (absl::Status made = MakeDirectory(directory); !made.ok()) return made;
  auto log = std::make_shared<RocksLog>();
  std::shared_ptr<Database> database(new Database(log, expiry));
  rocksdb::Status status =
      database->OpenWith(directory, rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords);
  if (status.ok()) return database;
  if (!status.IsCorruption()) return OpenError(directory, status);

  // The default mode would have dropped all behind the damage without a word.
  const absl::StatusOr<std::string> aside = CopyLogAside(directory);
  if (!aside.ok()) return aside.status();
  base::Log().error("spool {}: the log is damaged ({}); it was copied to {}", directory,
                    status.ToString(), *aside);
  const std::uint64_t before = log->dropped();
  status = database->OpenWith(directory, rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords);
  if (!status.ok()) return OpenError(directory, status);
  const std::uint64_t dropped = std::max<std::uint64_t>(log->dropped() - before, 1);
  metrics.log_salvages.Add();
  metrics.records_set_aside.Add(dropped);
  base::Log().error(
      "spool {}: {} damaged parts of the log were left out: acknowledged mail may be missing or "
      "delivered twice; see {}",
      directory, dropped, *aside);
  return database;
}

std::uint64_t Database::UnflushedBytes() {
  std::uint64_t bytes = 0;
  db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes);
  return bytes;
}

void Database::DropOutcomeFiles(absl::string_view end) {
  const rocksdb::Slice limit(end.data(), end.size());
  // If it fails, compaction finds them: their records are deleted already.
  rocksdb::DeleteFilesInRange(db_.get(), outcomes(), nullptr, &limit, /*include_end=*/false)
      .PermitUncheckedError();
}

Database::~Database() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : families_) {
    db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  db_->Close().PermitUncheckedError();
}

}  // namespace postern::spool

// What the spool's tests share: a directory, messages, waiting for answers, a child process.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/ids.h"
#include "server/mail/row.h"
#include "server/spool/rocks_spool.h"

extern char** environ;

namespace postern::spool {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "postern-spool-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline absl::Time TestTime() { return absl::FromUnixSeconds(1700000000); }

inline mail::Row MakeRow(const base::Id& id, std::uint16_t index = 0, std::uint16_t count = 1) {
  mail::Row row;
  row.message_id = id;
  row.index = index;
  row.row_count = count;
  row.pair = std::make_shared<mail::PairKey>(
      mail::PairKey{absl::StrCat("domain", index, ".example"), "default"});
  row.sender = "from@sender.example";
  row.recipients.push_back(
      {absl::StrCat("to@domain", index, ".example"), mail::Disposition::kQueued, nullptr});
  row.created = TestTime();
  row.expires = TestTime() + absl::Hours(120);
  row.next_attempt = TestTime();
  row.content_bytes = 7;
  return row;
}

inline std::vector<mail::Row> MakeRows(const base::Id& id, std::uint16_t count) {
  std::vector<mail::Row> rows;
  for (std::uint16_t i = 0; i < count; ++i) rows.push_back(MakeRow(id, i, count));
  return rows;
}

inline std::unique_ptr<RocksSpool> OpenSpool(const std::string& directory,
                                             std::uint64_t min_free_bytes = 0,
                                             base::Registry* registry = nullptr) {
  absl::StatusOr<std::unique_ptr<RocksSpool>> spool =
      RocksSpool::Open({directory, min_free_bytes, registry, absl::Milliseconds(10)});
  EXPECT_TRUE(spool.ok()) << spool.status();
  return spool.ok() ? *std::move(spool) : nullptr;
}

inline absl::Status StoreNow(Spool& spool, std::string content,
                             const std::vector<mail::Row>& rows) {
  std::promise<absl::Status> answer;
  spool.Store(std::move(content), rows, [&](absl::Status s) { answer.set_value(std::move(s)); });
  return answer.get_future().get();
}

// Returns when all that was given to the spool before is written.
inline void WaitUntilWritten(Spool& spool, Ticket ticket) {
  std::promise<void> written;
  spool.WhenWritten(ticket, [&] { written.set_value(); });
  written.get_future().get();
}

inline std::vector<mail::Row> AllRows(const Spool& spool) {
  std::vector<mail::Row> rows;
  const absl::Status status = spool.ForEachRow(base::Id{}, [&](mail::Row row) {
    rows.push_back(std::move(row));
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return rows;
}

inline absl::string_view View(const std::string& s) { return {s.data(), s.size()}; }

// Starts one disabled test of this program in a process of its own, with `directory` in its
// environment. -1: it cannot.
inline pid_t StartChild(const std::string& test, const std::string& directory) {
  const std::string filter = "--gtest_filter=" + test;
  std::string args[] = {"unit_spool", filter, "--gtest_also_run_disabled_tests"};
  char* argv[] = {args[0].data(), args[1].data(), args[2].data(), nullptr};
  setenv("POSTERN_SPOOL_TEST_DIR", directory.c_str(), 1);
  pid_t pid = 0;
  return posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv, environ) == 0 ? pid : -1;
}
// The status of waitpid.
inline int WaitForChild(pid_t pid) {
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}
inline int RunChild(const std::string& test, const std::string& directory) {
  return WaitForChild(StartChild(test, directory));
}

// In such a process: the directory; empty when somebody runs disabled tests by hand.
inline std::string ChildDirectory() {
  const char* directory = getenv("POSTERN_SPOOL_TEST_DIR");
  return directory == nullptr ? "" : directory;
}

inline constexpr int kSkipExit = 77;

}  // namespace postern::spool

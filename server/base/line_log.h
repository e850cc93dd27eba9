// LineLog: a file of lines, rotated by size and age, written by a thread of its own.
//
// Add() hands a line over and returns. When the disk does not keep up, or takes nothing any more,
// lines are dropped and counted; nobody waits. The file is F; the ones before it F.1, F.2, ... with
// the youngest first. Lines are not synced: what was handed over in the last moments before the
// machine stops may be missing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/base/mutex.h"

namespace postern::base {

class LineLog {
 public:
  struct Options {
    std::string path;
    std::uint64_t max_bytes = std::uint64_t{64} << 20;  // then the next file
    absl::Duration max_age = absl::Hours(24);           // since it was opened, when a line comes
    int keep_files = 10;                                // beside the present one; from 0
    std::size_t max_waiting_bytes = std::size_t{16} << 20;
  };
  struct Metrics {
    Counter& lines;    // written
    Counter& dropped;  // for want of room to wait, or of room on the disk
    Counter& errors;   // writes, renames and opens that failed
  };

  // Opens the file, at its end. INVALID_ARGUMENT naming the path and the cause if that fails.
  // REQUIRES: clock and metrics outlive the log.
  static absl::StatusOr<std::unique_ptr<LineLog>> Open(Options options, const Clock& clock,
                                                       Metrics metrics);
  // Writes what waits.
  ~LineLog();
  LineLog(const LineLog&) = delete;
  LineLog& operator=(const LineLog&) = delete;

  // `line` without its end. Thread: any; never waits for the disk.
  void Add(absl::string_view line);

 private:
  LineLog(Options options, const Clock& clock, Metrics metrics);
  void Run();
  // The thread's own from here on.
  void Write(const std::string& lines, std::uint64_t count);
  void RotateIfDue();
  bool OpenFile();

  const Options options_;
  const Clock& clock_;
  Metrics metrics_;

  Mutex mu_;
  std::condition_variable wake_;
  std::string waiting_ ABSL_GUARDED_BY(mu_);  // lines with their ends
  std::uint64_t waiting_lines_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  int fd_ = -1;
  std::uint64_t bytes_ = 0;  // of the present file
  absl::Time opened_;        // steady
  std::thread thread_;
};

}  // namespace postern::base

#include "server/base/line_log.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace postern::base {
namespace {

// For the owner and its group: lines name senders and recipients.
constexpr mode_t kMode = 0640;

}  // namespace

absl::StatusOr<std::unique_ptr<LineLog>> LineLog::Open(Options options, const Clock& clock,
                                                       Metrics metrics) {
  std::unique_ptr<LineLog> log(new LineLog(std::move(options), clock, metrics));
  if (!log->OpenFile()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write ", log->options_.path, ": ", std::strerror(errno)));
  }
  log->thread_ = std::thread([each = log.get()] { each->Run(); });
  return log;
}

LineLog::LineLog(Options options, const Clock& clock, Metrics metrics)
    : options_(std::move(options)), clock_(clock), metrics_(metrics) {}

LineLog::~LineLog() {
  if (thread_.joinable()) {
    {
      MutexLock lock(mu_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  if (fd_ >= 0) ::close(fd_);
}

void LineLog::Add(absl::string_view line) {
  bool first = false;
  {
    MutexLock lock(mu_);
    if (waiting_.size() + line.size() >= options_.max_waiting_bytes) {
      metrics_.dropped.Add();
      return;
    }
    first = waiting_.empty();
    absl::StrAppend(&waiting_, line, "\n");
    ++waiting_lines_;
  }
  if (first) wake_.notify_one();
}

void LineLog::Run() {
  pthread_setname_np(pthread_self(), "line-log");
  std::string lines;
  bool running = true;
  while (running) {
    std::uint64_t count = 0;
    lines.clear();
    {
      MutexLock lock(mu_);
      while (waiting_.empty() && !stopping_) wake_.wait(lock.native());
      running = !stopping_;
      lines.swap(waiting_);  // both keep their room
      count = std::exchange(waiting_lines_, 0);
    }
    if (count > 0) Write(lines, count);
  }
}

void LineLog::Write(const std::string& lines, std::uint64_t count) {
  RotateIfDue();
  std::size_t done = 0;
  while (fd_ >= 0 && done < lines.size()) {
    const ssize_t n = ::write(fd_, lines.data() + done, lines.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  if (done == lines.size()) {
    bytes_ += done;
    metrics_.lines.Add(count);
    return;
  }
  metrics_.errors.Add();
  metrics_.dropped.Add(count);
  // Half a line would spoil the next one.
  if (fd_ >= 0 && done > 0 && ::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) bytes_ += done;
}

void LineLog::RotateIfDue() {
  if (fd_ < 0) {
    OpenFile();
    return;
  }
  const bool due = bytes_ >= options_.max_bytes || clock_.Steady() - opened_ >= options_.max_age;
  if (!due || bytes_ == 0) return;
  const auto name = [this](int number) {
    return number == 0 ? options_.path : absl::StrCat(options_.path, ".", number);
  };
  bool moved = true;
  if (options_.keep_files == 0) {
    moved = ::unlink(options_.path.c_str()) == 0;
  } else {
    for (int i = options_.keep_files; i > 0; --i) {
      // A number that is not there yet is no fault.
      const bool ok = std::rename(name(i - 1).c_str(), name(i).c_str()) == 0 || errno == ENOENT;
      moved = moved && ok;
    }
  }
  if (!moved) metrics_.errors.Add();
  ::close(fd_);
  OpenFile();
}

bool LineLog::OpenFile() {
  fd_ = ::open(options_.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kMode);
  opened_ = clock_.Steady();
  bytes_ = 0;
  struct stat info {};
  if (fd_ >= 0 && ::fstat(fd_, &info) == 0) bytes_ = static_cast<std::uint64_t>(info.st_size);
  if (fd_ < 0) metrics_.errors.Add();
  return fd_ >= 0;
}

}  // namespace postern::base

#include "client/batch.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

namespace postern::client {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
// 50 MiB of content in base64, and an envelope.
constexpr std::size_t kMaxLineBytes = 72 << 20;
// How soon Stop() is seen by who waits for input.
constexpr int kWaitMs = 100;

bool IsReadable(int descriptor, int wait_ms) {
  pollfd wanted{descriptor, POLLIN, 0};
  return poll(&wanted, 1, wait_ms) > 0;
}

}  // namespace

std::string ParseBatchLine(const std::string& line, const v1::SubmitRequest& defaults,
                           v1::SubmitRequest* request) {
  v1::SubmitRequest said;
  const auto status = google::protobuf::util::JsonStringToMessage(line, &said);
  if (!status.ok()) return absl::StrCat("not a SubmitRequest: ", status.message().ToString());
  *request = defaults;
  request->MergeFrom(said);
  return "";
}

Batch::Batch(int descriptor, v1::SubmitRequest defaults)
    : descriptor_(descriptor), defaults_(std::move(defaults)) {
  struct stat file {};
  if (fstat(descriptor_, &file) == 0 && S_ISREG(file.st_mode)) {
    size_ = static_cast<double>(file.st_size);
  }
}

bool Batch::Ready() {
  return buffer_.find('\n', begin_) != std::string::npos || IsReadable(descriptor_, 0);
}

bool Batch::Fill() {
  buffer_.erase(0, std::exchange(begin_, 0));
  while (!stopped_) {
    if (!IsReadable(descriptor_, kWaitMs)) continue;
    std::array<char, kReadBytes> piece;
    const ssize_t count = read(descriptor_, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) error_ = absl::StrCat("cannot read the batch: ", std::strerror(errno));
    if (count <= 0) return false;
    buffer_.append(piece.data(), static_cast<std::size_t>(count));
    return true;
  }
  return false;
}

bool Batch::NextLine(std::string* line, bool* too_long) {
  line->clear();
  *too_long = false;
  while (true) {
    const std::size_t end = buffer_.find('\n', begin_);
    const bool whole = end != std::string::npos;
    const std::size_t count = (whole ? end : buffer_.size()) - begin_;
    const std::size_t fits = std::min(count, kMaxLineBytes - line->size());
    line->append(buffer_, begin_, fits);
    *too_long = *too_long || fits < count;
    begin_ += count + (whole ? 1 : 0);
    taken_bytes_ += static_cast<double>(count + (whole ? 1 : 0));
    if (whole) return true;
    // A last line may have no end.
    if (!Fill()) return !stopped_ && error_.empty() && !line->empty();
  }
}

bool Batch::Next(BulkItem& item) {
  std::string line;
  bool too_long = false;
  while (NextLine(&line, &too_long)) {
    ++line_;
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    item.line = line_;
    item.share = size_ > 0 ? std::min(taken_bytes_ / size_, 1.0) : -1;
    item.fault = too_long ? absl::StrCat("longer than ", kMaxLineBytes, " bytes")
                          : ParseBatchLine(line, defaults_, &item.request);
    return true;
  }
  return false;
}

}  // namespace postern::client

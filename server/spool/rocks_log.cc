#include "server/spool/rocks_log.h"

#include <array>
#include <cstdio>
#include <cstring>

#include "absl/time/clock.h"
#include "server/base/log.h"

namespace postern::spool {
namespace {

constexpr int kLinesInWindow = 20;
constexpr absl::Duration kWindow = absl::Seconds(10);

}  // namespace

bool RocksLog::MayWrite() {
  const absl::Time now = absl::Now();
  base::MutexLock lock(mu_);
  if (now - window_ > kWindow || now < window_) {
    window_ = now;
    lines_ = 0;
  }
  return ++lines_ <= kLinesInWindow;
}

void RocksLog::Logv(const char* format, va_list args) {
  Logv(rocksdb::InfoLogLevel::INFO_LEVEL, format, args);
}

void RocksLog::Logv(rocksdb::InfoLogLevel level, const char* format, va_list args) {
  if (level < rocksdb::InfoLogLevel::WARN_LEVEL || level == rocksdb::InfoLogLevel::HEADER_LEVEL) {
    return;
  }
  // "%s%s: dropping %d bytes; %s" is how the log's reader reports what it leaves out.
  if (std::strstr(format, "dropping") != nullptr) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  if (!MayWrite()) return;
  std::array<char, 1024> line;
  std::vsnprintf(line.data(), line.size(), format, args);
  line.back() = '\0';
  std::size_t length = std::strlen(line.data());
  while (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
  if (level == rocksdb::InfoLogLevel::WARN_LEVEL) {
    base::Log().warn("spool: rocksdb: {}", line.data());
  } else {
    base::Log().error("spool: rocksdb: {}", line.data());
  }
}

}  // namespace postern::spool

// The daemon's log: spdlog to standard error, one line an event, with level and time.
//
//   base::Log().warn("spool: {} unreadable records set aside", n);
//
// Never log message content, nor a credential. Thread: any.
#pragma once

#include <spdlog/fmt/fmt.h>
#include <spdlog/logger.h>

#include "absl/strings/string_view.h"

#include "absl/status/status.h"

namespace postern::base {

spdlog::logger& Log();

// "trace", "debug", "info", "warn", "error", "off". INVALID_ARGUMENT for any other word.
absl::Status SetLogLevel(absl::string_view level);

}  // namespace postern::base

// Debian's absl::string_view is a type of its own that fmt does not know.
template <>
struct fmt::formatter<absl::string_view> : fmt::formatter<fmt::string_view> {
  auto format(absl::string_view text, fmt::format_context& context) const {
    return fmt::formatter<fmt::string_view>::format({text.data(), text.size()}, context);
  }
};

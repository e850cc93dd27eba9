#include "server/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace postern::base {

spdlog::logger& Log() {
  // Never destroyed: threads may log until the process is gone.
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger("posternd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return logger;
}

absl::Status SetLogLevel(absl::string_view level) {
  for (const auto* known : {"trace", "debug", "info", "warn", "error", "off"}) {
    if (level == known) {
      Log().set_level(spdlog::level::from_str(std::string(level)));
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", level, "\" is not a log level; known are trace, debug, info, warn, error, off"));
}

}  // namespace postern::base

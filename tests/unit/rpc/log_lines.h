// LogLines: what the daemon logs while it lives. Made before the server starts, ended after it.
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "server/base/log.h"
#include "server/base/mutex.h"

namespace postern::rpc {

class LogLines {
 public:
  LogLines() { base::Log().sinks().push_back(sink_); }
  ~LogLines() { base::Log().sinks().pop_back(); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  // Those with `part` in them, in order.
  std::vector<std::string> With(absl::string_view part) const { return sink_->With(part); }

 private:
  class Sink final : public spdlog::sinks::base_sink<std::mutex> {
   public:
    std::vector<std::string> With(absl::string_view part) {
      base::MutexLock lock(mu_);
      std::vector<std::string> found;
      for (const std::string& line : lines_) {
        if (absl::StrContains(line, part)) found.push_back(line);
      }
      return found;
    }

   private:
    void sink_it_(const spdlog::details::log_msg& message) override {
      base::MutexLock lock(mu_);
      lines_.emplace_back(message.payload.data(), message.payload.size());
    }
    void flush_() override {}

    base::Mutex mu_;
    std::vector<std::string> lines_ ABSL_GUARDED_BY(mu_);
  };

  const std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
};

}  // namespace postern::rpc

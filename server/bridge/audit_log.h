// AuditLog: one JSON line for each question: who was asked, what each said, what was decided.
//
// The fields are documented in deploy/audit-log.md. Lines are handed to base::LineLog: a bounded
// buffer with a writer of its own, which drops and counts what it has no room for and never delays
// a verdict. Thread: any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/base/clock.h"
#include "server/base/line_log.h"
#include "server/bridge/connection_table.h"
#include "server/hooks/hook_point.h"

namespace postern::bridge {

// What is known of a question when its chain has been called.
struct AuditRecord {
  std::shared_ptr<const mail::ConnectionInfo> connection;
  std::uint32_t number = 0;
  absl::Time asked_at;      // steady
  std::vector<Part> parts;  // one for each provider
  VerdictEvent effective;
  bool native_shutdown = false;                // a native provider said SHUTDOWN,
  std::string native_provider, native_reason;  // this one
  std::uint64_t config_generation = 0;
};

class AuditLog {
 public:
  // REQUIRES: `clock` outlives this.
  AuditLog(std::unique_ptr<base::LineLog> lines, const base::Clock& clock)
      : lines_(std::move(lines)), clock_(clock) {}

  void Add(const AuditRecord& record);

 private:
  const std::unique_ptr<base::LineLog> lines_;
  const base::Clock& clock_;
};

}  // namespace postern::bridge

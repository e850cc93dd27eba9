// DispositionLog: one JSON line for each attempt and for each recipient's final disposition.
//
// The fields are documented in deploy/disposition-log.md. Lines are handed to base::LineLog, which
// never makes delivery wait. Thread: any.
#pragma once

#include <memory>
#include <utility>

#include "server/base/line_log.h"
#include "server/hooks/records.h"
#include "server/mail/connection.h"
#include "server/mail/row.h"

namespace postern::delivery {

class DispositionLog {
 public:
  // REQUIRES: `clock` outlives this.
  DispositionLog(std::unique_ptr<base::LineLog> lines, const base::Clock& clock)
      : lines_(std::move(lines)), clock_(clock) {}

  // After a transaction. `attempts`: charged to the row before it.
  void Attempt(const mail::ConnectionInfo& connection, const hooks::AttemptReport& report,
               std::uint32_t attempts);
  // The recipient's disposition is final. `attempts`: charged to the row before.
  void Final(const mail::Row& row, const mail::Recipient& recipient, std::uint32_t attempts);

 private:
  const std::unique_ptr<base::LineLog> lines_;
  const base::Clock& clock_;
};

}  // namespace postern::delivery

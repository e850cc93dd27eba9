// Audit: one line of the log for each control call, whatever came of it; only those that list
// something leave none.
//
//   audit call=Control.Suspend who="local" from="unix unix:" on="*.example.net"
//       reason="maintenance" outcome=OK detail="3 queues"
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/rpc/call.h"

namespace postern::rpc {

struct AuditEntry {
  absl::string_view call;  // "Control.Suspend"
  std::string who;
  std::string on;         // scope, message or connection
  std::string reason;     // as given by the caller
  std::string detail;     // what it did, when it did something
  std::string from = {};  // how it is known who calls, and from where
};

// "certificate ipv4:192.0.2.1:4711", for AuditEntry::from. REQUIRES: the call was admitted.
std::string CallerOf(const Call& call);

// Thread: any.
void Audit(const AuditEntry& entry, const absl::Status& outcome);

}  // namespace postern::rpc

// Tells the service manager how far the process is: systemd's Type=notify.
//
//   base::NotifyManager("READY=1");
#pragma once

#include "absl/strings/string_view.h"

namespace postern::base {

// Sends `state` as one datagram to the socket that NOTIFY_SOCKET names (sd_notify(3); a leading '@'
// is the abstract namespace). False when there is no manager that listens, which is no error:
// nobody else starts the process that way. Never blocks. Thread: any.
bool NotifyManager(absl::string_view state);

}  // namespace postern::base

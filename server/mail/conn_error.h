// ConnError: the CONN_ERR codes of hooks/connection.h as a C++ type, with their names.
#pragma once

#include "absl/strings/string_view.h"

namespace postern::mail {

// The values of the C API: 0 stands for "connected", errors are negative.
enum class ConnError : int {
  kNone = 0,
  kMxLookupFailed = -1,
  kMxLookupPending = -2,
  kSmtpNullMx = -3,
  kNoMxsReachable = -4,
  kProhibitedIp = -5,
  kHostMaxReached = -6,
  kSocket = -7,
  kIoctl = -8,
  kBind = -9,
  kConnect = -10,
  kConnectNetwork = -11,
  kConnectTimeout = -12,
};
inline constexpr int kConnErrorCount = 13;

// "MX_LOOKUP_FAILED" and so on; "NONE" for kNone.
absl::string_view Name(ConnError error);

}  // namespace postern::mail

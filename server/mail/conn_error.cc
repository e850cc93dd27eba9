#include "server/mail/conn_error.h"

namespace postern::mail {

absl::string_view Name(ConnError error) {
  switch (error) {
    case ConnError::kNone:
      return "NONE";
    case ConnError::kMxLookupFailed:
      return "MX_LOOKUP_FAILED";
    case ConnError::kMxLookupPending:
      return "MX_LOOKUP_PENDING";
    case ConnError::kSmtpNullMx:
      return "SMTP_NULL_MX";
    case ConnError::kNoMxsReachable:
      return "NO_MXS_REACHABLE";
    case ConnError::kProhibitedIp:
      return "PROHIBITED_IP";
    case ConnError::kHostMaxReached:
      return "HOST_MAX_REACHED";
    case ConnError::kSocket:
      return "SOCKET";
    case ConnError::kIoctl:
      return "IOCTL";
    case ConnError::kBind:
      return "BIND";
    case ConnError::kConnect:
      return "CONNECT";
    case ConnError::kConnectNetwork:
      return "CONNECT_NETWORK";
    case ConnError::kConnectTimeout:
      return "CONNECT_TIMEOUT";
  }
  return "UNKNOWN";
}

}  // namespace postern::mail

#include "server/mail/disposition.h"

namespace postern::mail {

absl::string_view Name(Disposition d) {
  switch (d) {
    case Disposition::kQueued:
      return "queued";
    case Disposition::kDeferred:
      return "deferred";
    case Disposition::kDelivered:
      return "delivered";
    case Disposition::kFailed:
      return "failed";
    case Disposition::kExpired:
      return "expired";
    case Disposition::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

absl::string_view Name(RequeueReason r) {
  switch (r) {
    case RequeueReason::kNew:
      return "new";
    case RequeueReason::kTransientFailure:
      return "transient_failure";
    case RequeueReason::kConnectFailed:
      return "connect_failed";
    case RequeueReason::kMxLookup:
      return "mx_lookup";
    case RequeueReason::kHostBackoff:
      return "host_backoff";
    case RequeueReason::kReply421:
      return "reply_421";
    case RequeueReason::kConnectionLost:
      return "connection_lost";
    case RequeueReason::kInDoubt:
      return "in_doubt";
    case RequeueReason::kPolicyHold:
      return "policy_hold";
    case RequeueReason::kSuspended:
      return "suspended";
    case RequeueReason::kThrottled:
      return "throttled";
    case RequeueReason::kLocalFault:
      return "local_fault";
    case RequeueReason::kRestart:
      return "restart";
    case RequeueReason::kTlsFailed:
      return "tls_failed";
    case RequeueReason::kFlushed:
      return "flushed";
    case RequeueReason::kSessionEnded:
      return "session_ended";
    case RequeueReason::kGreetingRefused:
      return "greeting_refused";
    case RequeueReason::kProtocolError:
      return "protocol_error";
  }
  return "unknown";
}

absl::string_view Name(SmtpStage s) {
  switch (s) {
    case SmtpStage::kNone:
      return "none";
    case SmtpStage::kConnect:
      return "connect";
    case SmtpStage::kGreeting:
      return "greeting";
    case SmtpStage::kEhlo:
      return "ehlo";
    case SmtpStage::kHelo:
      return "helo";
    case SmtpStage::kStartTls:
      return "starttls";
    case SmtpStage::kAuth:
      return "auth";
    case SmtpStage::kMail:
      return "mail";
    case SmtpStage::kRcpt:
      return "rcpt";
    case SmtpStage::kData:
      return "data";
    case SmtpStage::kBody:
      return "body";
    case SmtpStage::kRset:
      return "rset";
    case SmtpStage::kQuit:
      return "quit";
  }
  return "unknown";
}

absl::string_view Name(CloseCause c) {
  switch (c) {
    case CloseCause::kIdle:
      return "idle";
    case CloseCause::kMaxDeliveries:
      return "max_deliveries";
    case CloseCause::kMaxRecipients:
      return "max_recipients";
    case CloseCause::kHook:
      return "hook";
    case CloseCause::kRemotePolicy:
      return "remote_policy";
    case CloseCause::kGreetingRefused:
      return "greeting_refused";
    case CloseCause::kEhloRefused:
      return "ehlo_refused";
    case CloseCause::kTlsFailed:
      return "tls_failed";
    case CloseCause::kAuthFailed:
      return "auth_failed";
    case CloseCause::kProtocolError:
      return "protocol_error";
    case CloseCause::kPeerLimit:
      return "peer_limit";
    case CloseCause::kReply421:
      return "reply_421";
    case CloseCause::kIoError:
      return "io_error";
    case CloseCause::kTimeout:
      return "timeout";
    case CloseCause::kQueueEmpty:
      return "queue_empty";
    case CloseCause::kYielded:
      return "yielded";
    case CloseCause::kSuspended:
      return "suspended";
    case CloseCause::kDrain:
      return "drain";
    case CloseCause::kAdmin:
      return "admin";
    case CloseCause::kLimitChanged:
      return "limit_changed";
  }
  return "unknown";
}

}  // namespace postern::mail

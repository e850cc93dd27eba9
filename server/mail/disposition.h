// What becomes of mail, in the words that the spool, the log, the metrics and gRPC share.
//
// Numbers are stored in the spool and sent over gRPC: never renumber, only add.
#pragma once

#include <cstddef>
#include <cstdint>
#include "absl/strings/string_view.h"

namespace postern::mail {

// The state of one recipient. DELIVERED, FAILED, EXPIRED and CANCELLED are final.
enum class Disposition : std::uint8_t {
  kQueued = 1,
  kDeferred = 2,
  kDelivered = 3,
  kFailed = 4,
  kExpired = 5,
  kCancelled = 6,
};

constexpr bool IsFinal(Disposition d) { return d >= Disposition::kDelivered; }

// Why a row waits in its queue.
enum class RequeueReason : std::uint8_t {
  kNew = 1,               // submitted, not attempted yet
  kTransientFailure = 2,  // a 4xx reply to this message
  kConnectFailed = 3,     // no connection could be opened
  kMxLookup = 4,          // DNS error or time-out
  kHostBackoff = 5,       // every host is in back-off
  kReply421 = 6,          // the peer closed with 421
  kConnectionLost = 7,    // the connection broke before the final dot
  kInDoubt = 8,           // it broke between the final dot and its reply
  kPolicyHold = 9,
  kSuspended = 10,
  kThrottled = 11,
  kLocalFault = 12,       // no descriptors, source address missing, spool cannot write
  kRestart = 13,          // read back from the spool at start
  kSessionEnded = 14,     // the session was ended before this message's turn
  kTlsFailed = 15,        // no TLS where it is required, or a handshake failed for good
  kFlushed = 16,          // an operator made it due
  kGreetingRefused = 17,  // the greeting, EHLO or AUTH was refused
  kProtocolError = 18,    // the peer broke the SMTP protocol
};

// A step of the SMTP dialogue (RFC 5321).
enum class SmtpStage : std::uint8_t {
  kNone = 0,
  kConnect = 1,
  kGreeting = 2,
  kEhlo = 3,
  kHelo = 4,
  kStartTls = 5,
  kAuth = 6,
  kMail = 7,
  kRcpt = 8,
  kData = 9,
  kBody = 10,  // from the first byte of content to the reply to the final dot
  kRset = 11,
  kQuit = 12,
};
inline constexpr int kSmtpStageCount = 13;  // one more than the last

// Why a session ended: exactly one is recorded for each.
enum class CloseCause : std::uint8_t {
  kIdle = 1,
  kMaxDeliveries = 2,
  kMaxRecipients = 3,
  kHook = 4,
  kRemotePolicy = 5,
  kGreetingRefused = 6,
  kEhloRefused = 7,
  kTlsFailed = 8,
  kAuthFailed = 9,
  kProtocolError = 10,
  kPeerLimit = 11,
  kReply421 = 12,
  kIoError = 13,
  kTimeout = 14,
  kQueueEmpty = 15,
  kYielded = 16,
  kSuspended = 17,
  kDrain = 18,
  kAdmin = 19,
  kLimitChanged = 20,
};
inline constexpr int kCloseCauseCount = 21;  // one more than the last

// Lower-case words with underscores: "delivered", "reply_421", "mail", "max_deliveries".
absl::string_view Name(Disposition d);
absl::string_view Name(RequeueReason r);
absl::string_view Name(SmtpStage s);
absl::string_view Name(CloseCause c);

}  // namespace postern::mail

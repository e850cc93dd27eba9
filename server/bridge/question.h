// Question, Verdict, VerdictResult: the conversation of Decide as values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/ids.h"
#include "server/bridge/event.h"
#include "server/mail/connection.h"
#include "server/mail/reply.h"

namespace postern::bridge {

inline constexpr std::size_t kMaxReasonBytes = 256;

// Should this session end, now that a transaction is over?
struct Question {
  std::shared_ptr<const mail::ConnectionInfo> connection;
  std::uint32_t number = 0;  // 1, 2, ... per connection
  base::Id message_id;
  mail::Disposition disposition = mail::Disposition::kDeferred;
  mail::Reply reply;
  std::uint64_t deliveries = 0;
  std::uint64_t attempts = 0;
  std::uint64_t queue_depth = 0;
  absl::Time deadline;       // on the steady clock
  absl::Duration time_left;  // until the deadline, as of Take(); never negative
};

// The values of the enum CancelCause in hooks.proto.
enum class CancelCause : std::uint8_t { kDecided = 1, kSessionEnded = 2, kStanding = 3 };

struct QuestionCancelled {
  base::Id connection_id;
  std::uint32_t number = 0;
  CancelCause cause = CancelCause::kDecided;
};

// The answer to one question.
struct QuestionTarget {
  base::Id connection_id;
  std::uint32_t number = 0;
};

// A standing verdict for a connection. With SHUTDOWN: when. Neither is set: now.
struct ConnectionTarget {
  base::Id connection_id;
  std::uint64_t after_deliveries = 0;                   // 0: not set
  absl::Duration after_age = absl::InfiniteDuration();  // infinite: not set
};

// A rule for the connections of a scope.
struct ScopeTarget {
  std::string domain;   // glob as in Filter, in lower case
  std::string binding;  // empty: all
  absl::Duration ttl = absl::Seconds(60);
  std::uint64_t revision = 0;
  // One of: the connections that are open when it arrives, once; each after so many deliveries (0:
  // not set); each at such an age (infinite: not set).
  bool recycle = false;
  std::uint64_t after_deliveries = 0;
  absl::Duration after_age = absl::InfiniteDuration();
};

// What follows a SHUTDOWN. rpc refuses what is not served.
struct Then {
  absl::Duration hold;        // > 0: no new connection for the pair for so long
  absl::Duration avoid_host;  // > 0: not to this host for so long
};

struct Verdict {
  std::uint64_t verdict_id = 0;  // the client's number, > 0, unique within its stream
  std::variant<std::monostate, QuestionTarget, ConnectionTarget, ScopeTarget> target;
  Decision decision = Decision::kUnspecified;
  Then then;
  std::string reason;  // cut off behind kMaxReasonBytes
  // Not empty: rpc found the verdict malformed, not served or not allowed. The result is DENIED
  // with this detail; a question that it names takes its default with cause `invalid`.
  std::string denied;
  bool over_limit = false;  // rpc: more than its identity may give; the result is LIMIT
};

// The values of the enum VerdictStatus in hooks.proto.
enum class VerdictStatus : std::uint8_t {
  kApplied = 1,
  kStored = 2,
  kDuplicate = 3,
  kStale = 4,
  kLate = 5,
  kUnknown = 6,
  kDenied = 7,
  kLimit = 8,
};
inline constexpr int kVerdictStatusCount = 9;  // one more than the last

absl::string_view Name(VerdictStatus status);

struct VerdictResult {
  std::uint64_t verdict_id = 0;
  VerdictStatus status = VerdictStatus::kUnknown;
  absl::Duration late_by;  // for kLate: since the question was closed
  std::string detail;      // for people
};

}  // namespace postern::bridge

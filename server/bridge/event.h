// Event: one fact about one connection, as those who watch are told it.
//
// An event is made once and shared: EventData never changes, and its encoded form is produced once
// for all who want it (by rpc's Encoder, before the sequence is assigned). Holds no message content
// and no credentials. Thread: immutable, any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/hooks/observer.h"
#include "server/hooks/records.h"
#include "server/mail/connection.h"

namespace postern::bridge {

enum class EventKind : std::uint8_t {
  kPostInitiate = 0,
  kSessionReady = 1,
  kDeliveryAttempt = 2,
  kVerdict = 3,
  kConnectionClosed = 4,
};
inline constexpr int kEventKindCount = 5;

// "post_initiate_connection_smtp", "session_ready" and so on.
absl::string_view Name(EventKind kind);

// A set of kinds, one bit each.
class KindSet {
 public:
  constexpr KindSet() = default;
  static constexpr KindSet All() { return KindSet((1U << kEventKindCount) - 1); }
  // What a subscription gets that names none.
  static constexpr KindSet Default() { return KindSet().With(EventKind::kPostInitiate); }
  constexpr KindSet With(EventKind kind) const {
    return KindSet(bits_ | 1U << static_cast<unsigned>(kind));
  }
  constexpr bool Has(EventKind kind) const {
    return (bits_ >> static_cast<unsigned>(kind) & 1U) != 0;
  }
  constexpr bool empty() const { return bits_ == 0; }
  friend constexpr bool operator==(KindSet, KindSet) = default;

 private:
  explicit constexpr KindSet(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

struct PostInitiateEvent {
  int conn_fd = -1;  // valid when error is kNone
  mail::ConnError error = mail::ConnError::kNone;
  std::uint64_t attempt = 0;     // of the pair, from 1
  base::Id probable_message_id;  // empty when the queue is
  std::uint64_t queue_depth = 0;
  std::string detail;  // on a failure, for people
};

struct DeliveryAttemptEvent {
  hooks::AttemptReport report;
  std::uint64_t attempts = 0;    // of the connection so far, this one included
  std::uint64_t deliveries = 0;  // of these, those that delivered
};

enum class Decision : std::uint8_t { kUnspecified = 0, kKeep = 1, kShutdown = 2, kAbstain = 3 };

// How the effective decision came about; the values of the enum DecisionSource in hooks.proto.
enum class DecisionSource : std::uint8_t {
  kNone = 1,  // no provider had anything to say
  kNative = 2,
  kAnswer = 3,
  kStanding = 4,
  kDefault = 5,
  kIgnored = 6,  // the session was ending anyway
};

// Why a default took the place of a verdict; the values of the enum DefaultCause in types.proto.
enum class DefaultCause : std::uint8_t {
  kTimeout = 1,
  kNoSubscriber = 2,
  kNoVerdict = 3,
  kDisconnect = 4,
  kOverload = 5,
  kBreakerOpen = 6,
  kInvalid = 7,
  kSwitchedOff = 8,
  kForcedKeep = 9,
};
inline constexpr int kDefaultCauseCount = 10;  // one more than the last

// What came of a question that a client in shadow mode was told.
enum class ShadowOutcome : std::uint8_t { kAgreed, kDiffered, kAbstained, kUnanswered };
inline constexpr std::size_t kShadowOutcomeCount = 4;

// "agreed" and so on.
absl::string_view Name(ShadowOutcome outcome);
// "keep", "shutdown", "abstain"; "timeout", "no_subscriber" and so on.
absl::string_view Name(Decision decision);
absl::string_view Name(DefaultCause cause);
// "none", "native", "answer", "standing", "default", "ignored".
absl::string_view Name(DecisionSource source);

struct VerdictEvent {
  Decision decision = Decision::kKeep;  // the effective one: kKeep or kShutdown
  DecisionSource source = DecisionSource::kNone;
  std::string provider;                                 // whose word counted; empty when none
  DefaultCause default_cause = DefaultCause::kTimeout;  // means something with kDefault only
  std::string reason;
  absl::Duration waited;     // how long the session waited; 0 when nobody was asked
  std::uint32_t number = 0;  // of the question; 0 when nobody was asked
  base::Id message_id;
};

struct EventData {
  absl::Time time;  // wall clock
  std::shared_ptr<const mail::ConnectionInfo> connection;
  // In the order of EventKind.
  std::variant<PostInitiateEvent, hooks::SessionReady, DeliveryAttemptEvent, VerdictEvent,
               hooks::ConnectionClosed>
      what;

  EventKind kind() const { return static_cast<EventKind>(what.index()); }
};

// Makes the encoded form: all fields of the message Event but `sequence` (field 1), which is not
// known yet, and `epoch`, which the frame carries. rpc writes tag, length, `sequence` and then
// these bytes: concatenation is merging in protobuf. Thread: any, several at once; must not block.
using Encoder = std::function<std::string(const EventData&)>;

struct Event {
  std::uint64_t sequence = 0;  // rises by one per event of the process, before filtering
  std::shared_ptr<const EventData> data;
  // What the Encoder made of `data`; never null in what Take() returns (empty without an Encoder).
  std::shared_ptr<const std::string> encoded;
};

}  // namespace postern::bridge

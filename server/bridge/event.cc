#include "server/bridge/event.h"

#include "server/bridge/question.h"

namespace postern::bridge {

absl::string_view Name(EventKind kind) {
  switch (kind) {
    case EventKind::kPostInitiate:
      return "post_initiate_connection_smtp";
    case EventKind::kSessionReady:
      return "session_ready";
    case EventKind::kDeliveryAttempt:
      return "delivery_attempt";
    case EventKind::kVerdict:
      return "verdict";
    case EventKind::kConnectionClosed:
      return "connection_closed";
  }
  return "?";
}

absl::string_view Name(Decision decision) {
  switch (decision) {
    case Decision::kUnspecified:
      return "unspecified";
    case Decision::kKeep:
      return "keep";
    case Decision::kShutdown:
      return "shutdown";
    case Decision::kAbstain:
      return "abstain";
  }
  return "?";
}

absl::string_view Name(DecisionSource source) {
  switch (source) {
    case DecisionSource::kNone:
      return "none";
    case DecisionSource::kNative:
      return "native";
    case DecisionSource::kAnswer:
      return "answer";
    case DecisionSource::kStanding:
      return "standing";
    case DecisionSource::kDefault:
      return "default";
    case DecisionSource::kIgnored:
      return "ignored";
  }
  return "?";
}

absl::string_view Name(ShadowOutcome outcome) {
  switch (outcome) {
    case ShadowOutcome::kAgreed:
      return "agreed";
    case ShadowOutcome::kDiffered:
      return "differed";
    case ShadowOutcome::kAbstained:
      return "abstained";
    case ShadowOutcome::kUnanswered:
      return "unanswered";
  }
  return "?";
}

absl::string_view Name(DefaultCause cause) {
  switch (cause) {
    case DefaultCause::kTimeout:
      return "timeout";
    case DefaultCause::kNoSubscriber:
      return "no_subscriber";
    case DefaultCause::kNoVerdict:
      return "no_verdict";
    case DefaultCause::kDisconnect:
      return "disconnect";
    case DefaultCause::kOverload:
      return "overload";
    case DefaultCause::kBreakerOpen:
      return "breaker_open";
    case DefaultCause::kInvalid:
      return "invalid";
    case DefaultCause::kSwitchedOff:
      return "switched_off";
    case DefaultCause::kForcedKeep:
      return "forced_keep";
  }
  return "?";
}

absl::string_view Name(VerdictStatus status) {
  switch (status) {
    case VerdictStatus::kApplied:
      return "applied";
    case VerdictStatus::kStored:
      return "stored";
    case VerdictStatus::kDuplicate:
      return "duplicate";
    case VerdictStatus::kStale:
      return "stale";
    case VerdictStatus::kLate:
      return "late";
    case VerdictStatus::kUnknown:
      return "unknown";
    case VerdictStatus::kDenied:
      return "denied";
    case VerdictStatus::kLimit:
      return "limit";
  }
  return "?";
}

}  // namespace postern::bridge

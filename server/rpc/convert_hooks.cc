#include "server/rpc/convert_hooks.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_scope.h"

namespace postern::rpc {
namespace {

// The values of bridge's enums are those of the contract.
static_assert(static_cast<int>(bridge::VerdictStatus::kLimit) == v1::VERDICT_STATUS_LIMIT);
static_assert(static_cast<int>(bridge::CancelCause::kStanding) == v1::CANCEL_CAUSE_STANDING);
static_assert(static_cast<int>(bridge::GapCause::kNewEpoch) == v1::GAP_CAUSE_NEW_EPOCH);
static_assert(static_cast<int>(bridge::AskMode::kStanding) == v1::ASK_MODE_STANDING);
static_assert(static_cast<int>(bridge::Decision::kAbstain) == v1::DECISION_ABSTAIN);
static_assert(static_cast<int>(bridge::DefaultVerdict::kShutdown) == v1::DEFAULT_VERDICT_SHUTDOWN);
static_assert(static_cast<int>(bridge::ProviderStatus::Breaker::kHalfOpen) + 1 ==
              v1::BREAKER_STATE_HALF_OPEN);
static_assert(static_cast<int>(bridge::DefaultCause::kForcedKeep) == v1::DEFAULT_CAUSE_FORCED_KEEP);

absl::StatusOr<bridge::KindSet> ToKinds(const google::protobuf::RepeatedField<int>& kinds,
                                        absl::string_view path) {
  bridge::KindSet out;
  for (int i = 0; i < kinds.size(); ++i) {
    if (kinds[i] == v1::EVENT_KIND_UNSPECIFIED) {
      return absl::InvalidArgumentError(absl::StrCat(path, "[", i, "]: names no kind"));
    }
    out = out.With(static_cast<bridge::EventKind>(kinds[i] - 1));
  }
  return out;
}

absl::StatusOr<bridge::QuestionTarget> ToQuestionTarget(const v1::QuestionTarget& target) {
  absl::StatusOr<base::Id> id = IdFromText(target.connection_id(), "question.connection_id");
  if (!id.ok()) return id.status();
  if (target.number() == 0) return absl::InvalidArgumentError("question.number: must be set");
  return bridge::QuestionTarget{*id, target.number()};
}

absl::StatusOr<bridge::ConnectionTarget> ToConnectionTarget(const v1::ConnectionTarget& target) {
  absl::StatusOr<base::Id> id = IdFromText(target.connection_id(), "connection.connection_id");
  if (!id.ok()) return id.status();
  bridge::ConnectionTarget out;
  out.connection_id = *id;
  if (target.when_case() == v1::ConnectionTarget::kAfterDeliveries) {
    if (target.after_deliveries() == 0) {
      return absl::InvalidArgumentError("connection.after_deliveries: must be at least 1");
    }
    out.after_deliveries = target.after_deliveries();
  }
  if (target.when_case() == v1::ConnectionTarget::kAfterAge) {
    absl::StatusOr<absl::Duration> age =
        PositiveDuration(target.after_age(), "connection.after_age", absl::Hours(24));
    if (!age.ok()) return age.status();
    out.after_age = *age;
  }
  return out;
}

absl::StatusOr<bridge::Then> ToThen(const v1::Then& then) {
  bridge::Then out;
  const bool lasts =
      then.action() == v1::THEN_ACTION_HOLD || then.action() == v1::THEN_ACTION_AVOID_HOST;
  if (!lasts) {
    if (!then.has_duration()) return out;
    return absl::InvalidArgumentError("then.duration: only with HOLD and AVOID_HOST");
  }
  const absl::StatusOr<absl::Duration> duration =
      PositiveDuration(then.duration(), "then.duration", absl::Hours(1));
  if (!duration.ok()) return duration.status();
  (then.action() == v1::THEN_ACTION_HOLD ? out.hold : out.avoid_host) = *duration;
  return out;
}

// What says when and how a session ends means nothing with a verdict that does not end it.
absl::Status CheckDecision(const v1::Verdict& verdict) {
  if (verdict.decision() == v1::DECISION_UNSPECIFIED) {
    return absl::InvalidArgumentError("decision: must be set");
  }
  if (verdict.decision() == v1::DECISION_SHUTDOWN) return absl::OkStatus();
  const v1::ThenAction then = verdict.then().action();
  if (then != v1::THEN_ACTION_UNSPECIFIED && then != v1::THEN_ACTION_RECONNECT) {
    return absl::InvalidArgumentError("then.action: only with SHUTDOWN");
  }
  switch (verdict.connection().when_case()) {
    case v1::ConnectionTarget::kAfterDeliveries:
      return absl::InvalidArgumentError("connection.after_deliveries: only with SHUTDOWN");
    case v1::ConnectionTarget::kAfterAge:
      return absl::InvalidArgumentError("connection.after_age: only with SHUTDOWN");
    case v1::ConnectionTarget::WHEN_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

}  // namespace

bridge::Filter ToFilter(const v1::Filter& filter) {
  bridge::Filter out;
  out.domains.assign(filter.domains().begin(), filter.domains().end());
  out.bindings.assign(filter.bindings().begin(), filter.bindings().end());
  return out;
}

absl::StatusOr<bridge::WatchRequest> ToWatch(const v1::WatchRequest& request) {
  bridge::WatchRequest out;
  absl::StatusOr<bridge::KindSet> kinds = ToKinds(request.kinds(), "kinds");
  if (!kinds.ok()) return kinds.status();
  out.kinds = *kinds;
  out.filter = ToFilter(request.filter());
  if (request.has_after()) {
    out.after = bridge::Cursor{request.after().epoch(), request.after().sequence()};
  }
  out.snapshot = request.snapshot();
  return out;
}

absl::StatusOr<bridge::AttachRequest> ToAttach(const v1::Attach& attach, std::string identity) {
  bridge::AttachRequest out;
  absl::StatusOr<bridge::KindSet> kinds = ToKinds(attach.kinds(), "attach.kinds");
  if (!kinds.ok()) return kinds.status();
  out.kinds = *kinds;
  out.provider = attach.provider();
  out.identity = std::move(identity);
  out.filter = ToFilter(attach.filter());
  out.priority = attach.priority();
  out.shadow = attach.mode() == v1::DECIDE_MODE_SHADOW;
  if (attach.ask() != v1::ASK_MODE_UNSPECIFIED) {
    out.ask = static_cast<bridge::AskMode>(attach.ask());
  }
  if (attach.has_timeout()) {
    absl::StatusOr<absl::Duration> timeout =
        PositiveDuration(attach.timeout(), "attach.timeout", absl::Hours(1));
    if (!timeout.ok()) return timeout.status();
    out.timeout = *timeout;
  }
  if (attach.default_verdict() != v1::DEFAULT_VERDICT_UNSPECIFIED) {
    out.default_verdict = static_cast<bridge::DefaultVerdict>(attach.default_verdict());
  }
  out.snapshot = attach.snapshot();
  return out;
}

bridge::Verdict ToVerdict(v1::Verdict& verdict) {
  bridge::Verdict out;
  out.verdict_id = verdict.verdict_id();
  out.decision = static_cast<bridge::Decision>(verdict.decision());
  out.reason = std::move(*verdict.mutable_reason());
  absl::Status status;
  switch (verdict.target_case()) {
    case v1::Verdict::kQuestion:
      if (auto target = ToQuestionTarget(verdict.question()); target.ok()) {
        out.target = *target;
      } else {
        status = target.status();
      }
      break;
    case v1::Verdict::kConnection:
      if (auto target = ToConnectionTarget(verdict.connection()); target.ok()) {
        out.target = *target;
      } else {
        status = target.status();
      }
      break;
    case v1::Verdict::kScope:
      if (auto target = ToTarget(verdict.scope()); target.ok()) {
        out.target = *std::move(target);
      } else {
        status = target.status();
      }
      break;
    case v1::Verdict::TARGET_NOT_SET:
      status = absl::InvalidArgumentError("target: must be set");
      break;
  }
  if (status.ok() && verdict.verdict_id() == 0) {
    status = absl::InvalidArgumentError("verdict_id: must be more than 0");
  }
  if (const absl::StatusOr<bridge::Then> then = ToThen(verdict.then()); then.ok()) {
    out.then = *then;
  } else if (status.ok()) {
    status = then.status();
  }
  if (status.ok()) status = CheckDecision(verdict);
  out.denied = std::string(status.message());
  return out;
}

void ToProto(const bridge::Attached& attached, v1::Attached* out) {
  out->set_provider_id(attached.provider_id);
  out->set_epoch(attached.epoch);
  out->set_head_sequence(attached.head_sequence);
  out->set_mode(attached.shadow ? v1::DECIDE_MODE_SHADOW : v1::DECIDE_MODE_ENFORCE);
  out->set_ask(static_cast<v1::AskMode>(attached.ask));
  out->set_priority(attached.priority);
  *out->mutable_timeout() = ToProto(attached.timeout);
  out->set_default_verdict(static_cast<v1::DefaultVerdict>(attached.default_verdict));
  for (int kind = 0; kind < bridge::kEventKindCount; ++kind) {
    if (attached.kinds.Has(static_cast<bridge::EventKind>(kind))) {
      out->add_kinds(static_cast<v1::EventKind>(kind + 1));
    }
  }
  for (const std::string& domain : attached.filter.domains) {
    out->mutable_filter()->add_domains(domain);
  }
  for (const std::string& binding : attached.filter.bindings) {
    out->mutable_filter()->add_bindings(binding);
  }
  out->set_protocol_version(1);
}

void ToProto(const bridge::Question& question, v1::Question* out) {
  out->set_connection_id(question.connection->id.ToString());
  out->set_number(question.number);
  out->set_message_id(question.message_id.ToString());
  out->set_disposition(ToProto(question.disposition));
  ToProto(question.reply, out->mutable_reply());
  out->set_deliveries(static_cast<std::uint32_t>(question.deliveries));
  out->set_attempts(static_cast<std::uint32_t>(question.attempts));
  out->set_queue_depth(question.queue_depth);
  out->set_time_left_ms(static_cast<std::uint32_t>(absl::ToInt64Milliseconds(question.time_left)));
  if (question.connection->pair != nullptr) {
    out->set_domain(question.connection->pair->domain);
    out->mutable_binding()->set_name(question.connection->pair->binding);
  }
  out->mutable_binding()->set_slot(question.connection->binding_slot);
}

void ToProto(const bridge::QuestionCancelled& cancelled, v1::QuestionCancelled* out) {
  out->set_connection_id(cancelled.connection_id.ToString());
  out->set_number(cancelled.number);
  out->set_cause(static_cast<v1::CancelCause>(cancelled.cause));
}

void ToProto(const bridge::VerdictResult& result, v1::VerdictResult* out) {
  out->set_verdict_id(result.verdict_id);
  out->set_status(static_cast<v1::VerdictStatus>(result.status));
  if (result.status == bridge::VerdictStatus::kLate) {
    *out->mutable_late_by() = ToProto(result.late_by);
  }
  out->set_detail(Utf8(result.detail));
}

void ToProto(const bridge::Gap& gap, std::uint64_t epoch, v1::Gap* out) {
  out->set_epoch(epoch);
  out->set_lost(gap.lost);
  out->set_first_lost(gap.first_lost);
  out->set_last_lost(gap.last_lost);
  out->set_cause(static_cast<v1::GapCause>(gap.cause));
}

void ToProto(const bridge::Snapshot& snapshot, std::uint64_t epoch, v1::Snapshot* out) {
  out->set_epoch(epoch);
  out->set_head_sequence(snapshot.head_sequence);
  for (const bridge::Snapshot::Entry& entry : snapshot.connections) {
    v1::SnapshotConnection* connection = out->add_connections();
    ToProto(*entry.connection, connection->mutable_connection());
    *connection->mutable_age() = ToProto(entry.age);
    connection->set_deliveries(static_cast<std::uint32_t>(entry.deliveries));
    connection->set_attempts(static_cast<std::uint32_t>(entry.attempts));
  }
}

void ToProto(const bridge::ProviderStatus& provider, v1::RemoteProvider* out) {
  out->set_name(provider.name);
  out->set_mode(provider.shadow ? v1::DECIDE_MODE_SHADOW : v1::DECIDE_MODE_ENFORCE);
  out->set_ask(static_cast<v1::AskMode>(provider.ask));
  out->set_priority(provider.priority);
  for (const std::string& domain : provider.filter.domains) {
    out->mutable_filter()->add_domains(domain);
  }
  for (const std::string& binding : provider.filter.bindings) {
    out->mutable_filter()->add_bindings(binding);
  }
  *out->mutable_timeout() = ToProto(provider.timeout);
  out->set_default_verdict(static_cast<v1::DefaultVerdict>(provider.default_verdict));
  for (const std::string& stream : provider.streams) out->add_streams(stream);
  out->set_questions(provider.questions);
  out->set_answered(provider.answered);
  out->set_cancelled(provider.cancelled);
  out->set_open(provider.open);
  for (std::size_t cause = 1; cause < provider.defaults.size(); ++cause) {
    if (provider.defaults[cause] == 0) continue;
    v1::DefaultCount* count = out->add_defaults();
    count->set_cause(static_cast<v1::DefaultCause>(cause));
    count->set_count(provider.defaults[cause]);
  }
  for (std::size_t status = 1; status < provider.results.size(); ++status) {
    if (provider.results[status] == 0) continue;
    v1::ResultCount* count = out->add_results();
    count->set_status(static_cast<v1::VerdictStatus>(status));
    count->set_count(provider.results[status]);
  }
  out->set_events(provider.events);
  out->set_events_dropped(provider.events_dropped);
  *out->mutable_answer_time() = ToProto(provider.answer_time);
  *out->mutable_slowest_answer() = ToProto(provider.slowest_answer);
  out->set_breaker(static_cast<v1::BreakerState>(static_cast<int>(provider.breaker) + 1));
  out->set_scopes(provider.scopes);
  const auto shadow = [&provider](bridge::ShadowOutcome outcome) {
    return provider.shadow_outcomes[static_cast<std::size_t>(outcome)];
  };
  out->mutable_shadow()->set_agreed(shadow(bridge::ShadowOutcome::kAgreed));
  out->mutable_shadow()->set_differed(shadow(bridge::ShadowOutcome::kDiffered));
  out->mutable_shadow()->set_abstained(shadow(bridge::ShadowOutcome::kAbstained));
  out->mutable_shadow()->set_unanswered(shadow(bridge::ShadowOutcome::kUnanswered));
  out->set_position(static_cast<v1::PolicySwitch>(provider.position));
}

}  // namespace postern::rpc

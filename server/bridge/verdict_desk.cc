// What becomes of a client's verdict (QuestionDesk).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/bridge/question_desk.h"

namespace postern::bridge {
namespace {

VerdictResult Late(const Verdict& verdict, absl::Duration late_by) {
  VerdictResult result = ResultFor(verdict, VerdictStatus::kLate);
  result.late_by = std::max(late_by, absl::ZeroDuration());
  return result;
}

}  // namespace

VerdictResult ResultFor(const Verdict& verdict, VerdictStatus status, std::string detail) {
  VerdictResult result;
  result.verdict_id = verdict.verdict_id;
  result.status = status;
  result.detail = std::move(detail);
  return result;
}

std::string Unusable(const Verdict& verdict) {
  if (!verdict.denied.empty()) return verdict.denied;
  if (verdict.decision == Decision::kUnspecified) return "decision: must be set";
  return "";
}

std::vector<VerdictResult> QuestionDesk::Apply(const StreamPtr& stream,
                                               std::vector<Verdict> verdicts) {
  const StreamSpec& spec = stream->spec();
  const Giver giver{spec.provider, spec.provider_id, spec.matcher};
  ScopeBatch batch;
  std::vector<VerdictResult> results;
  results.reserve(verdicts.size());
  for (Verdict& verdict : verdicts) {
    results.push_back(ApplyOne(stream, giver, std::move(verdict), results.size(), batch));
  }
  Sweep(giver, batch, results);
  return results;
}

VerdictResult QuestionDesk::ApplyOne(const StreamPtr& stream, const Giver& giver, Verdict verdict,
                                     std::size_t index, ScopeBatch& batch) {
  if (stream->closed()) return ResultFor(verdict, VerdictStatus::kStale, "detached");
  if (verdict.verdict_id == 0) {
    return ResultFor(verdict, VerdictStatus::kDenied, "verdict_id: must be positive");
  }
  if (verdict.over_limit) {
    return ResultFor(verdict, VerdictStatus::kLimit, "policy.max_verdicts_per_second");
  }
  if (!stream->RememberVerdict(verdict.verdict_id)) {
    return ResultFor(verdict, VerdictStatus::kDuplicate, "verdict_id: used already");
  }
  if (verdict.reason.size() > kMaxReasonBytes) verdict.reason.resize(kMaxReasonBytes);
  if (stream->spec().shadow && !std::holds_alternative<QuestionTarget>(verdict.target)) {
    std::string unusable = std::holds_alternative<ScopeTarget>(verdict.target) ? WhyNoRule(verdict)
                                                                               : Unusable(verdict);
    return unusable.empty() ? ResultFor(verdict, VerdictStatus::kStored, "shadow: not used")
                            : ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  if (std::holds_alternative<ScopeTarget>(verdict.target)) {
    std::string why = WhyNoRule(verdict);
    return why.empty() ? PutScope(giver, verdict, index, batch)
                       : ResultFor(verdict, VerdictStatus::kDenied, std::move(why));
  }
  base::Id id;
  if (const auto* question = std::get_if<QuestionTarget>(&verdict.target)) {
    id = question->connection_id;
  } else if (const auto* connection = std::get_if<ConnectionTarget>(&verdict.target)) {
    id = connection->connection_id;
  } else {
    return ResultFor(verdict, VerdictStatus::kDenied,
                     verdict.denied.empty() ? "target: must be set" : verdict.denied);
  }

  VerdictResult result;
  Effects effects;
  {
    ConnectionTable::Shard& shard = connections_.ShardOf(id);
    base::MutexLock lock(shard.mu);
    Connection* connection = shard.Find(id);
    if (connection == nullptr) {
      const std::string unusable = Unusable(verdict);
      return unusable.empty()
                 ? ResultFor(verdict, VerdictStatus::kUnknown, "connection_id: not open")
                 : ResultFor(verdict, VerdictStatus::kDenied, unusable);
    }
    const Step step{*connection, clock_.Steady(), effects};
    if (connection->question) ExpireOwnDeadlines(*connection->question, step);
    result = ApplyLocked(stream, verdict, step);
  }
  Run(effects);
  return result;
}

VerdictResult QuestionDesk::ApplyLocked(const StreamPtr& stream, Verdict& verdict,
                                        const Step& step) {
  if (const auto* target = std::get_if<QuestionTarget>(&verdict.target)) {
    if (stream->spec().shadow) return AnswerShadow(stream, *target, verdict, step);
    return AnswerQuestion(stream, *target, verdict, step);
  }
  return Stand(stream, std::get<ConnectionTarget>(verdict.target), verdict, step);
}

VerdictResult QuestionDesk::AnswerQuestion(const StreamPtr& stream, const QuestionTarget& target,
                                           Verdict& verdict, const Step& step) {
  const Connection& connection = step.connection;
  PendingQuestion* question = connection.question.get();
  Part* part = nullptr;
  if (question != nullptr && question->number == target.number) {
    part = question->Find(stream->spec().provider.get());
  }
  if (part != nullptr && part->state == Part::State::kOpen) {
    return AnswerOpenPart(stream, *question, *part, verdict, step);
  }
  if (std::string unusable = Unusable(verdict); !unusable.empty()) {
    return ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  if (target.number == 0 || target.number > connection.last_number) {
    return ResultFor(verdict, VerdictStatus::kUnknown, "number: not asked yet");
  }
  auto& async = step.connection.StateOf(stream->spec().provider).async;
  if (async && async->Knows(target.number)) {
    return AnswerAsync(stream, *async, target.number, verdict, step);
  }
  if (part != nullptr) {
    if (part->state == Part::State::kAnswered) {
      return ResultFor(verdict, VerdictStatus::kDuplicate, "answered already");
    }
    return Late(verdict, step.now - part->closed_at);
  }
  if (question != nullptr && question->number == target.number) {
    return ResultFor(verdict, VerdictStatus::kUnknown, "number: not asked of this provider");
  }
  // Of an older question only the closing is remembered, and that of the last few.
  const std::size_t kept = connection.closings.size();
  const std::uint32_t oldest = connection.last_number > kept
                                   ? connection.last_number - static_cast<std::uint32_t>(kept) + 1
                                   : 1;
  const std::uint32_t number = std::max(target.number, oldest);
  return Late(verdict, step.now - connection.closings[number % kept]);
}

VerdictResult QuestionDesk::AnswerOpenPart(const StreamPtr& stream, PendingQuestion& question,
                                           Part& part, Verdict& verdict, const Step& step) {
  if (part.stream != stream) {
    return ResultFor(verdict, VerdictStatus::kStale, "asked of another stream of this provider");
  }
  if (std::string unusable = Unusable(verdict); !unusable.empty()) {
    TakeDefault(part, DefaultCause::kInvalid, step);
    Conclude(question, step);
    return ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  Standing word;
  word.decision = verdict.decision;
  word.then = verdict.then;
  word.reason = verdict.reason;
  const bool taken = Answer(part, DecisionSource::kAnswer, word, step);
  const bool suppressed = part.suppressed;
  Conclude(question, step);
  if (!taken) {
    VerdictResult late = Late(verdict, absl::ZeroDuration());
    late.detail = kSwitchedOffDetail;
    return late;
  }
  return ResultFor(verdict, VerdictStatus::kApplied, suppressed ? kSuppressedDetail : "");
}

VerdictResult QuestionDesk::Stand(const StreamPtr& stream, const ConnectionTarget& target,
                                  Verdict& verdict, const Step& step) {
  if (std::string unusable = Unusable(verdict); !unusable.empty()) {
    return ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  Connection& connection = step.connection;
  const ProviderPtr& provider = stream->spec().provider;
  const auto match = fanout_.MatchFor(*connection.info->pair);
  const Match::Replicas* replicas = match->Find(provider.get());
  if (replicas == nullptr || !stream->spec().matcher->Matches(connection.info->pair->domain,
                                                              connection.info->pair->binding)) {
    return ResultFor(verdict, VerdictStatus::kDenied, "connection_id: outside the stream's filter");
  }
  const StreamPtr* owner = OwnerOf(replicas->streams, connection.info->id, connection.opened_among);
  if (owner == nullptr || *owner != stream) {
    return ResultFor(verdict, VerdictStatus::kStale,
                     "the connection belongs to another stream of this provider");
  }
  return StandFor(provider, target, verdict, step);
}

VerdictResult QuestionDesk::StandFor(const ProviderPtr& provider, const ConnectionTarget& target,
                                     const Verdict& verdict, const Step& step) {
  Connection& connection = step.connection;
  ProviderState& state = connection.StateOf(provider);
  if (verdict.decision == Decision::kAbstain) {
    SetStanding(state, std::nullopt);
    return ResultFor(verdict, VerdictStatus::kStored, "withdrawn");
  }
  Standing standing;
  standing.decision = verdict.decision;
  standing.after_deliveries = target.after_deliveries;
  standing.after_age = target.after_age;
  standing.then = verdict.then;
  standing.reason = verdict.reason;
  SetStanding(state, standing);

  PendingQuestion* question = connection.question.get();
  Part* part = question != nullptr ? question->Find(provider.get()) : nullptr;
  if (part != nullptr && part->state == Part::State::kOpen) {
    AnswerByStanding(*part, step);
    Conclude(*question, step);
    if (part->state == Part::State::kAnswered) {
      return ResultFor(verdict, VerdictStatus::kApplied, part->suppressed ? kSuppressedDetail : "");
    }
  } else if (verdict.decision == Decision::kShutdown &&
             standing.Due(connection.deliveries, step.now - connection.opened)) {
    EndNow(provider, standing, /*stands=*/true, step);
    if (step.effects.end) return ResultFor(verdict, VerdictStatus::kApplied);
  }
  return ResultFor(verdict, VerdictStatus::kStored,
                   verdict.decision == Decision::kShutdown ? WhyIgnored(*provider, step.now) : "");
}

void QuestionDesk::SetStanding(ProviderState& state, std::optional<Standing> standing) {
  const auto ages = [](const std::optional<Standing>& one) { return one && one->ages() ? 1 : 0; };
  const int more = ages(standing) - ages(state.standing);
  if (more != 0) aging_.fetch_add(more, std::memory_order_relaxed);
  state.standing = std::move(standing);
}

void QuestionDesk::EndNow(const ProviderPtr& provider, const Standing& standing, bool stands,
                          const Step& step) {
  if (ThrownSwitch(*provider)) return;
  if (!standing.recycles && !ShutdownCounts(provider, step)) return;
  step.effects.end = step.connection.info;
  step.effects.end_verdict.shutdown = true;
  step.effects.end_verdict.stands = stands;
  step.effects.end_verdict.cause = mail::CloseCause::kRemotePolicy;
  step.effects.end_verdict.provider = provider->name();
  step.effects.end_verdict.reason = standing.reason;
  step.effects.end_verdict.hold = standing.then.hold;
  step.effects.end_verdict.avoid_host = standing.then.avoid_host;
}

void QuestionDesk::Disconnect(const Stream& stream,
                              const std::vector<Stream::QuestionKey>& questions) {
  for (const auto& [id, number] : questions) {
    Effects effects;
    {
      ConnectionTable::Shard& shard = connections_.ShardOf(id);
      base::MutexLock lock(shard.mu);
      Connection* connection = shard.Find(id);
      if (connection == nullptr || !connection->question) continue;
      PendingQuestion& question = *connection->question;
      Part* part = question.Find(stream.spec().provider.get());
      if (question.number != number || part == nullptr || part->stream.get() != &stream ||
          part->state != Part::State::kOpen) {
        continue;
      }
      const Step step{*connection, clock_.Steady(), effects};
      ExpireOwnDeadlines(question, step);
      if (part->state == Part::State::kOpen) {
        TakeDefault(*part, DefaultCause::kDisconnect, step);
        Conclude(question, step);
      }
    }
    Run(effects);
  }
}

}  // namespace postern::bridge

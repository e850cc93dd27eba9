// Verdicts for scopes, and those that come from no stream (QuestionDesk).
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/bridge/question_desk.h"

namespace postern::bridge {

std::optional<Standing> QuestionDesk::StandingOf(Provider* provider, const Step& step) {
  const ProviderState& state = step.connection.StateOf(provider);
  if (state.standing) return state.standing;
  const std::shared_ptr<const ScopeRule> rule =
      scopes_.Find(provider, *step.connection.info->pair, step.connection.opened);
  if (rule == nullptr) return std::nullopt;
  Standing standing;  // with neither limit, as for a recycling rule: now
  standing.decision = rule->decision;
  standing.after_deliveries = rule->target.after_deliveries;
  standing.after_age = rule->target.after_age;
  standing.then = rule->then;
  standing.reason = rule->reason;
  return standing;
}

VerdictResult QuestionDesk::PutScope(Provider* provider, const std::string& by,
                                     const Filter& within, const Verdict& verdict) {
  if (std::string unusable = Unusable(verdict); !unusable.empty()) {
    return ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  if (verdict.decision == Decision::kKeep) {
    return ResultFor(verdict, VerdictStatus::kDenied, "decision: SHUTDOWN or ABSTAIN for a scope");
  }
  ScopeRule rule;
  rule.target = std::get<ScopeTarget>(verdict.target);
  rule.decision = verdict.decision;
  rule.then = verdict.then;
  rule.reason = verdict.reason;
  rule.by = by;
  rule.within = within;
  const ScopeTarget target = rule.target;
  switch (scopes_.Put(provider, std::move(rule))) {
    case VerdictStatus::kStale:
      return ResultFor(verdict, VerdictStatus::kStale,
                       "scope.revision: a rule with this or a higher one stands");
    case VerdictStatus::kLimit:
      return ResultFor(verdict, VerdictStatus::kLimit,
                       absl::StrCat("scope: ", ScopeTable::kMostRules, " rules of the provider"));
    default:
      break;
  }
  if (verdict.decision == Decision::kAbstain) {
    return ResultFor(verdict, VerdictStatus::kStored, "withdrawn");
  }
  const int ended = Sweep(provider, target);
  if (ended == 0) return ResultFor(verdict, VerdictStatus::kStored);
  return ResultFor(verdict, VerdictStatus::kApplied, absl::StrCat("ends ", ended, " connections"));
}

int QuestionDesk::Sweep(Provider* provider, const ScopeTarget& target) {
  int ended = 0;
  for (ConnectionTable::Shard& shard : connections_.shards()) {
    std::deque<Effects> all;  // a Step refers to its element
    {
      base::MutexLock lock(shard.mu);
      const absl::Time now = clock_.Steady();
      for (const auto& [id, connection] : shard.connections) {
        const mail::PairKey& pair = *connection->info->pair;
        if (Specificity(target.domain, pair.domain) == 0) continue;
        if (!target.binding.empty() && target.binding != pair.binding) continue;
        SweepConnection(provider, Step{*connection, now, all.emplace_back()});
        if (all.back().end) ++ended;
      }
    }
    for (Effects& effects : all) Run(effects);
  }
  return ended;
}

void QuestionDesk::SweepConnection(Provider* provider, const Step& step) {
  PendingQuestion* question = step.connection.question.get();
  Part* part = question != nullptr ? question->Find(provider) : nullptr;
  if (part != nullptr && part->state == Part::State::kOpen) {
    if (AnswerByStanding(*part, step)) Conclude(*question, step);
    return;
  }
  if (step.connection.StateOf(provider).standing) return;  // the connection's own word holds
  const std::optional<Standing> standing = StandingOf(provider, step);
  if (!standing || !standing->Due(step.connection.deliveries, step.now - step.connection.opened)) {
    return;
  }
  EndNow(provider, *standing, step);
}

VerdictResult QuestionDesk::Post(Provider* provider, const std::string& by, const Matcher& within,
                                 Verdict verdict) {
  if (verdict.over_limit) {
    return ResultFor(verdict, VerdictStatus::kLimit, "policy.max_verdicts_per_second");
  }
  if (verdict.reason.size() > kMaxReasonBytes) verdict.reason.resize(kMaxReasonBytes);
  if (std::holds_alternative<ScopeTarget>(verdict.target)) {
    return PutScope(provider, by, within.filter(), verdict);
  }
  if (std::string unusable = Unusable(verdict); !unusable.empty()) {
    return ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  const auto* target = std::get_if<ConnectionTarget>(&verdict.target);
  if (target == nullptr) {
    return ResultFor(verdict, VerdictStatus::kDenied, "target: a connection or a scope");
  }
  VerdictResult result;
  Effects effects;
  {
    ConnectionTable::Shard& shard = connections_.ShardOf(target->connection_id);
    base::MutexLock lock(shard.mu);
    Connection* connection = shard.Find(target->connection_id);
    if (connection == nullptr) {
      return ResultFor(verdict, VerdictStatus::kUnknown, "connection_id: not open");
    }
    const mail::PairKey& pair = *connection->info->pair;
    if (!within.Matches(pair.domain, pair.binding)) {
      return ResultFor(verdict, VerdictStatus::kDenied,
                       "connection_id: outside of what the caller may decide about");
    }
    const Step step{*connection, clock_.Steady(), effects};
    if (connection->question) ExpireOwnDeadlines(*connection->question, step);
    result = StandFor(provider, *target, verdict, step);
  }
  Run(effects);
  return result;
}

}  // namespace postern::bridge

// Verdicts for scopes, and those that come from no stream (QuestionDesk).
#include <deque>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/bridge/question_desk.h"

namespace postern::bridge {
namespace {

Standing ToStanding(const ScopeRule& rule) {
  Standing standing;  // with neither limit, as for a recycling rule: now
  standing.decision = rule.decision;
  standing.after_deliveries = rule.target.after_deliveries;
  standing.after_age = rule.target.after_age;
  standing.recycles = rule.target.recycle;
  standing.then = rule.then;
  standing.reason = rule.reason;
  return standing;
}

// Of two scopes that a domain is in: is `a` narrower, in the order of ScopeTable?
bool Narrower(const ScopeTarget& a, const ScopeTarget& b, const std::string& domain) {
  const auto rank = [&domain](const ScopeTarget& target) {
    return std::tuple(Specificity(target.domain, domain), !target.binding.empty());
  };
  return rank(a) > rank(b);
}

}  // namespace

std::string WhyNoRule(const Verdict& verdict) {
  std::string unusable = Unusable(verdict);
  if (!unusable.empty() || verdict.decision == Decision::kAbstain) return unusable;
  if (verdict.decision == Decision::kKeep) return "decision: SHUTDOWN or ABSTAIN for a scope";
  const auto& target = std::get<ScopeTarget>(verdict.target);
  const bool ruled =
      target.recycle || target.after_deliveries > 0 || target.after_age != absl::InfiniteDuration();
  return ruled ? "" : "scope.rule: must be set";
}

std::optional<Standing> QuestionDesk::StandingOf(const Provider* provider, const Step& step) const {
  const Connection& connection = step.connection;
  if (const Standing* own = connection.StandingOf(provider)) return *own;
  const auto rule = scopes_.Find(provider, *connection.info->pair, connection.opened);
  if (rule == nullptr) return std::nullopt;
  return ToStanding(*rule);
}

VerdictResult QuestionDesk::PutScope(const Giver& giver, const Verdict& verdict, std::size_t index,
                                     ScopeBatch& batch) {
  auto rule = std::make_shared<ScopeRule>();
  rule->target = std::get<ScopeTarget>(verdict.target);
  rule->decision = verdict.decision;
  rule->then = verdict.then;
  rule->reason = verdict.reason;
  rule->by = giver.by;
  rule->within = giver.within;
  switch (scopes_.Put(giver.provider, rule)) {
    case VerdictStatus::kStale:
      return ResultFor(verdict, VerdictStatus::kStale,
                       "scope.revision: a rule with this or a higher one stands");
    case VerdictStatus::kLimit:
      return ResultFor(verdict, VerdictStatus::kLimit,
                       absl::StrCat("scope: ", ScopeTable::kMostRules, " rules of the provider"));
    default:
      break;
  }
  const bool recycles = rule->target.recycle;
  batch.Add(std::move(rule), index);
  if (verdict.decision == Decision::kAbstain) {
    return ResultFor(verdict, VerdictStatus::kStored, "withdrawn");
  }
  std::string detail = WhyIgnored(*giver.provider, clock_.Steady());
  if (recycles && detail == kSuppressedDetail) detail.clear();  // the churn guard has no say in it
  return ResultFor(verdict, VerdictStatus::kStored, std::move(detail));
}

void QuestionDesk::Sweep(const Giver& giver, ScopeBatch& batch,
                         std::vector<VerdictResult>& results) {
  if (batch.empty()) return;
  for (ConnectionTable::Shard& shard : connections_.shards()) {
    std::deque<Effects> all;  // a Step refers to its element
    {
      base::MutexLock lock(shard.mu);
      const absl::Time now = clock_.Steady();
      for (const auto& [id, connection] : shard.connections) {
        const ScopeBatch::Found scopes = batch.Find(*connection->info->pair);
        if (scopes.empty()) continue;
        SweepConnection(giver.provider, scopes, Step{*connection, now, all.emplace_back()});
      }
    }
    for (Effects& effects : all) Run(effects);
  }
  for (const auto& [index, count] : batch.Ended()) {
    results[index].status = VerdictStatus::kApplied;
    results[index].detail = absl::StrCat("ends ", count, " connections");
  }
}

std::shared_ptr<const ScopeRule> QuestionDesk::RuleFor(const Provider* provider,
                                                       const ScopeBatch::Found& scopes,
                                                       const Step& step) const {
  const Connection& connection = step.connection;
  const mail::PairKey& pair = *connection.info->pair;
  std::shared_ptr<const ScopeRule> stands = scopes_.Find(provider, pair, connection.opened);
  for (const ScopeBatch::Scope* scope : scopes) {
    const std::shared_ptr<const ScopeRule>& recycle = scope->recycle;
    if (!recycle || !recycle->Concerns(pair, connection.opened, step.now)) continue;
    // Not even another rule for the same scope, if it came in the same frame, spares what was open.
    const bool spared = stands && Narrower(stands->target, recycle->target, pair.domain);
    return spared ? stands : recycle;
  }
  return stands;
}

void QuestionDesk::SweepConnection(const ProviderPtr& provider, const ScopeBatch::Found& scopes,
                                   const Step& step) {
  const Connection& connection = step.connection;
  if (connection.StandingOf(provider.get()) != nullptr) return;  // its own word holds
  const auto rule = RuleFor(provider.get(), scopes, step);
  if (rule == nullptr) return;
  const Standing standing = ToStanding(*rule);
  PendingQuestion* question = connection.question.get();
  if (question != nullptr) ExpireOwnDeadlines(*question, step);
  Part* part = question != nullptr ? question->Find(provider.get()) : nullptr;
  if (part != nullptr && part->state == Part::State::kOpen) {
    AnswerBy(standing, *part, step);
    Conclude(*question, step);
    if (part->state != Part::State::kAnswered || !part->shuts_down()) return;
  } else {
    if (!standing.Due(connection.deliveries, step.now - connection.opened)) return;
    // A rule that recycles may be gone when the session asks.
    EndNow(provider, standing, /*stands=*/!rule->target.recycle, step);
    if (!step.effects.end) return;
  }
  for (ScopeBatch::Scope* scope : scopes) {
    if (scope->last == rule) ++scope->ended;
    const bool recycled = scope->recycle && scope->recycle->Concerns(*connection.info->pair,
                                                                     connection.opened, step.now);
    if (recycled) ++scope->recycled;
  }
}

void QuestionDesk::EndAged() {
  const absl::Duration least = scopes_.LeastAge();
  if (aging_.load(std::memory_order_relaxed) == 0 && least == absl::InfiniteDuration()) return;
  std::vector<ProviderPtr> ruling;
  if (least != absl::InfiniteDuration()) ruling = scopes_.Providers();
  const std::vector<ProviderPtr> nobody;
  for (ConnectionTable::Shard& shard : connections_.shards()) {
    std::vector<Effects> all;
    {
      base::MutexLock lock(shard.mu);
      const absl::Time now = clock_.Steady();
      for (const auto& [id, connection] : shard.connections) {
        if (connection->told_to_end) continue;
        // A question under way is answered by what stands, or leaves it to the next look.
        if (connection->question && !connection->question->settled) continue;
        Effects effects;
        EndIfAged(now - connection->opened < least ? nobody : ruling,
                  Step{*connection, now, effects});
        if (!effects.end) continue;
        connection->told_to_end = true;
        all.push_back(std::move(effects));
      }
    }
    for (Effects& effects : all) Run(effects);
  }
}

void QuestionDesk::EndIfAged(const std::vector<ProviderPtr>& ruling, const Step& step) {
  Connection& connection = step.connection;
  const auto end = [&](const ProviderPtr& provider, const Standing& standing) {
    if (!standing.ages() || !standing.Due(connection.deliveries, step.now - connection.opened)) {
      return false;
    }
    EndNow(provider, standing, /*stands=*/true, step);
    return step.effects.end != nullptr;
  };
  for (std::size_t i = 0; i < connection.providers.size(); ++i) {  // EndNow finds it, adds none
    const ProviderState& state = connection.providers[i];
    if (state.standing && end(state.provider, *state.standing)) return;
  }
  for (const ProviderPtr& provider : ruling) {
    if (connection.StandingOf(provider.get()) != nullptr) continue;  // its own word holds
    const auto rule = scopes_.Find(provider.get(), *connection.info->pair, connection.opened);
    if (rule != nullptr && end(provider, ToStanding(*rule))) return;
  }
}

absl::StatusOr<std::vector<VerdictResult>> QuestionDesk::Post(Giver giver, MakeProvider make,
                                                              std::vector<Verdict> verdicts) {
  ScopeBatch batch;
  std::vector<VerdictResult> results;
  results.reserve(verdicts.size());
  for (Verdict& verdict : verdicts) {
    if (verdict.reason.size() > kMaxReasonBytes) verdict.reason.resize(kMaxReasonBytes);
    std::optional<VerdictResult> result = PostOne(giver, verdict, results.size(), batch);
    if (!result) {
      absl::StatusOr<ProviderPtr> made = make();
      if (!made.ok()) return made.status();
      giver.provider = *std::move(made);
      result = PostOne(giver, verdict, results.size(), batch);
    }
    results.push_back(*std::move(result));
  }
  if (giver.provider == nullptr) return results;
  Sweep(giver, batch, results);
  for (const VerdictResult& result : results) {
    giver.provider->CountResult(result.status, /*shadow=*/false);
  }
  return results;
}

std::optional<VerdictResult> QuestionDesk::PostOne(const Giver& giver, const Verdict& verdict,
                                                   std::size_t index, ScopeBatch& batch) {
  if (verdict.over_limit) {
    return ResultFor(verdict, VerdictStatus::kLimit, "policy.max_verdicts_per_second");
  }
  if (std::holds_alternative<ScopeTarget>(verdict.target)) {
    if (std::string why = WhyNoRule(verdict); !why.empty()) {
      return ResultFor(verdict, VerdictStatus::kDenied, std::move(why));
    }
    if (giver.provider == nullptr) return std::nullopt;
    return PutScope(giver, verdict, index, batch);
  }
  if (std::string unusable = Unusable(verdict); !unusable.empty()) {
    return ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  if (!std::holds_alternative<ConnectionTarget>(verdict.target)) {
    return ResultFor(verdict, VerdictStatus::kDenied, "target: a connection or a scope");
  }
  return PostForConnection(giver, verdict);
}

std::optional<VerdictResult> QuestionDesk::PostForConnection(const Giver& giver,
                                                             const Verdict& verdict) {
  const auto& target = std::get<ConnectionTarget>(verdict.target);
  VerdictResult result;
  Effects effects;
  {
    ConnectionTable::Shard& shard = connections_.ShardOf(target.connection_id);
    base::MutexLock lock(shard.mu);
    Connection* connection = shard.Find(target.connection_id);
    if (connection == nullptr) {
      return ResultFor(verdict, VerdictStatus::kUnknown, "connection_id: not open");
    }
    const mail::PairKey& pair = *connection->info->pair;
    if (!giver.within->Matches(pair.domain, pair.binding)) {
      return ResultFor(verdict, VerdictStatus::kDenied,
                       "connection_id: outside of what the caller may decide about");
    }
    if (giver.provider == nullptr) {
      if (verdict.decision != Decision::kAbstain) return std::nullopt;
      return ResultFor(verdict, VerdictStatus::kStored, "withdrawn");  // there never was anything
    }
    const Step step{*connection, clock_.Steady(), effects};
    if (connection->question) ExpireOwnDeadlines(*connection->question, step);
    result = StandFor(giver.provider, target, verdict, step);
  }
  Run(effects);
  return result;
}

}  // namespace postern::bridge

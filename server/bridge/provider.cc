#include "server/bridge/provider.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace postern::bridge {
namespace {

std::array<base::Counter*, 4> DecisionCounters(base::Registry& registry, const std::string& name) {
  std::array<base::Counter*, 4> counters{};
  for (Decision d : {Decision::kKeep, Decision::kShutdown, Decision::kAbstain}) {
    counters[static_cast<std::size_t>(d)] = &registry.AddCounter(
        "postern_policy_verdicts_total", "Questions that a provider's verdict decided for it.",
        {{"provider", name}, {"mode", kModeNames[0]}, {"decision", std::string(Name(d))}});
  }
  return counters;
}

}  // namespace

bool ValidProviderName(absl::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

Provider::Provider(std::string name, const PolicyOptions& options, base::Registry* registry)
    : name_(std::move(name)),
      max_open_(options.max_open_questions),
      own_registry_(registry == nullptr ? std::make_unique<base::Registry>() : nullptr),
      wait_share_(options.max_wait_share) {
  AddCounts(registry == nullptr ? *own_registry_ : *registry);
  before_ = Counts();
}

Provider::~Provider() {
  for (base::Gauge* gauge : {breaker_state_, forced_async_gauge_, suppressed_gauge_}) gauge->Set(0);
}

void Provider::AddCounts(base::Registry& registry) {
  verdicts_ = DecisionCounters(registry, name_);
  const base::Labels labels = {{"provider", name_}};
  const base::Labels enforced = {{"provider", name_}, {"mode", kModeNames[0]}};
  questions_ = &registry.AddCounter("postern_policy_questions_total",
                                    "Calls of the bridge for a provider, sent or not.", enforced);
  cancelled_ = &registry.AddCounter(
      "postern_policy_cancelled_total",
      "Questions that another provider's shutdown or the end of the session made moot.", enforced);
  for (std::size_t i = 1; i < kDefaultCauseCount; ++i) {
    defaults_[i] = &registry.AddCounter(
        "postern_policy_defaults_total", "Questions that a default decided, by cause.",
        {{"provider", name_},
         {"mode", kModeNames[0]},
         {"cause", std::string(Name(static_cast<DefaultCause>(i)))}});
  }
  for (const std::size_t shadow : {0U, 1U}) AddCountsOf(shadow, registry);
  for (std::size_t i = 0; i < kShadowOutcomeCount; ++i) {
    shadow_[i] = &registry.AddCounter(
        "postern_policy_shadow_total",
        "Questions that a client in shadow mode was told, by how its answer compares.",
        {{"provider", name_}, {"outcome", std::string(Name(static_cast<ShadowOutcome>(i)))}});
  }
  breaker_state_ =
      &registry.AddGauge("postern_policy_breaker_state", "0 closed, 1 open, 2 half open.", labels);
  forced_async_gauge_ = &registry.AddGauge(
      "postern_policy_degraded", "1 while a provider is treated as async or not heeded, by cause.",
      {{"provider", name_}, {"cause", "max_wait_share"}});
  suppressed_gauge_ = &registry.AddGauge(
      "postern_policy_degraded", "1 while a provider is treated as async or not heeded, by cause.",
      {{"provider", name_}, {"cause", "churn"}});
}

void Provider::AddCountsOf(std::size_t shadow, base::Registry& registry) {
  const base::Labels labels = {{"provider", name_}, {"mode", kModeNames[shadow]}};
  events_[shadow] = &registry.AddCounter("postern_policy_events_total",
                                         "Events queued for a provider's streams.", labels);
  events_dropped_[shadow] =
      &registry.AddCounter("postern_policy_events_dropped_total",
                           "Events lost to a provider that reads too slowly.", labels);
  for (std::size_t i = 1; i < kVerdictStatusCount; ++i) {
    const std::string status(Name(static_cast<VerdictStatus>(i)));
    results_[shadow][i] =
        &registry.AddCounter(absl::StrCat("postern_policy_", status, "_total"),
                             absl::StrCat("Verdicts whose result was ", status, "."), labels);
  }
  latency_[shadow] =
      &registry.AddHistogram("postern_policy_verdict_latency_seconds", "From question to answer.",
                             base::LatencyBounds(), labels);
}

void Provider::CountEvent(std::uint64_t dropped, bool shadow) {
  events_[shadow ? 1 : 0]->Add();
  if (dropped > 0) events_dropped_[shadow ? 1 : 0]->Add(dropped);
}

bool Provider::TakePlace() {
  if (open_.fetch_add(1, std::memory_order_relaxed) < max_open_) return true;
  FreePlace();
  return false;
}

void Provider::ShowBreaker(absl::Time now) {
  const auto state = static_cast<std::int64_t>(breaker_.state(now));
  if (state == breaker_state_->value()) return;
  if (state == static_cast<std::int64_t>(Breaker::State::kOpen)) {
    base::Log().warn("bridge: provider {} does not answer: breaker open", name_);
  } else if (state == static_cast<std::int64_t>(Breaker::State::kClosed)) {
    base::Log().info("bridge: provider {} answers again: breaker closed", name_);
  }
  breaker_state_->Set(state);
}

bool Provider::AllowedByBreaker(absl::Time now) {
  base::MutexLock lock(mu_);
  const bool allowed = breaker_.Allow(now);
  ShowBreaker(now);
  return allowed;
}

void Provider::OnAnswer(absl::Time now, absl::Duration latency) {
  latency_[0]->Observe(latency);
  base::MutexLock lock(mu_);
  breaker_.OnSuccess(now);
  ShowBreaker(now);
  answer_time_ += latency;
  slowest_answer_ = std::max(slowest_answer_, latency);
}

void Provider::OnFailure(absl::Time now) {
  base::MutexLock lock(mu_);
  breaker_.OnFailure(now);
  ShowBreaker(now);
}

void Provider::OnDropped(absl::Time now) {
  base::MutexLock lock(mu_);
  breaker_.OnDropped();
  ShowBreaker(now);
}

void Provider::OnWaited(absl::Time now, absl::Duration waited, absl::Duration session_time) {
  base::MutexLock lock(mu_);
  wait_share_.Add(now, waited, session_time);
}

bool Provider::ForcedAsync(absl::Time now) {
  base::MutexLock lock(mu_);
  const bool exceeded = wait_share_.Exceeded(now);
  if (exceeded != forced_async_) {
    forced_async_ = exceeded;
    forced_async_gauge_->Set(exceeded ? 1 : 0);
    if (exceeded) {
      base::Log().warn("bridge: sessions wait too long for provider {}: treated as async", name_);
    } else {
      base::Log().info("bridge: provider {} is fast enough again: sync", name_);
    }
  }
  return exceeded;
}

void Provider::OnShutdown(absl::Time now, std::uint64_t deliveries) {
  base::MutexLock lock(mu_);
  churn_.Add(now, static_cast<double>(deliveries));
}

bool Provider::Suppressed(absl::Time now) {
  base::MutexLock lock(mu_);
  const bool suppressed = churn_.Suppressed(now);
  if (suppressed != suppressed_) {
    suppressed_ = suppressed;
    suppressed_gauge_->Set(suppressed ? 1 : 0);
    if (suppressed) {
      base::Log().warn(
          "bridge: connections that provider {} ends average under 5 deliveries: its SHUTDOWNs do "
          "not count until they do again",
          name_);
    } else {
      base::Log().info("bridge: SHUTDOWNs of provider {} count again", name_);
    }
  }
  return suppressed;
}

void Provider::SetAttached(const Attached& attached, std::optional<DefaultVerdict> asked_default) {
  base::MutexLock lock(mu_);
  last_was_shadow_ = attached.shadow;
  attached_[attached.shadow ? 1 : 0] = attached;
  if (!attached.shadow) asked_default_ = asked_default;
}

std::optional<DefaultVerdict> Provider::asked_default() const {
  base::MutexLock lock(mu_);
  return asked_default_;
}

ProviderStatus Provider::Status(absl::Time now, bool enforcing, bool shadowing) const {
  ProviderStatus status;
  status.name = name_;
  {
    base::MutexLock lock(mu_);
    // Whose word counts goes before who is only compared with it.
    const bool shadow = !enforcing && (shadowing || last_was_shadow_);
    const Attached& attached = attached_[shadow ? 1 : 0];
    status.ask = attached.ask;
    status.shadow = shadow;
    status.priority = attached.priority;
    status.filter = attached.filter;
    status.timeout = attached.timeout;
    status.default_verdict = attached.default_verdict;
    status.ask_forced_async = forced_async_;
    status.shutdowns_suppressed = suppressed_;
    status.answer_time = answer_time_;
    status.slowest_answer = slowest_answer_;
    status.breaker = static_cast<ProviderStatus::Breaker>(breaker_.state(now));
  }
  status.open = open_.load(std::memory_order_relaxed);
  const ProviderStatus counts = Counts();
  const auto since = [](const auto& now_all, const auto& before_all, auto& all) {
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = now_all[i] - before_all[i];
  };
  status.questions = counts.questions - before_.questions;
  status.answered = counts.answered - before_.answered;
  status.cancelled = counts.cancelled - before_.cancelled;
  status.events = counts.events - before_.events;
  status.events_dropped = counts.events_dropped - before_.events_dropped;
  since(counts.defaults, before_.defaults, status.defaults);
  since(counts.results, before_.results, status.results);
  since(counts.shadow_outcomes, before_.shadow_outcomes, status.shadow_outcomes);
  return status;
}

ProviderStatus Provider::Counts() const {
  ProviderStatus counts;
  counts.questions = questions_->value();
  counts.cancelled = cancelled_->value();
  for (const base::Counter* counter : verdicts_) {
    if (counter != nullptr) counts.answered += counter->value();
  }
  for (std::size_t i = 1; i < kDefaultCauseCount; ++i) counts.defaults[i] = defaults_[i]->value();
  for (std::size_t i = 1; i < kVerdictStatusCount; ++i) {
    counts.results[i] = results_[0][i]->value() + results_[1][i]->value();
  }
  for (std::size_t i = 0; i < kShadowOutcomeCount; ++i) {
    counts.shadow_outcomes[i] = shadow_[i]->value();
  }
  counts.events = events_[0]->value() + events_[1]->value();
  counts.events_dropped = events_dropped_[0]->value() + events_dropped_[1]->value();
  return counts;
}

ProviderTable::ProviderTable(const PolicyOptions& options, base::Registry& registry)
    : options_(options), registry_(registry) {
  SetExpected(options.providers);
}

void ProviderTable::SetExpected(const std::vector<ProviderRule>& rules) {
  base::MutexLock lock(mu_);
  std::vector<ProviderPtr> expected;
  for (const ProviderRule& rule : rules) {
    registered_.insert(rule.name);
    expected.push_back(GetLocked(rule.name));
  }
  expected_ = std::move(expected);
}

std::vector<ProviderPtr> ProviderTable::expected() const {
  base::MutexLock lock(mu_);
  return expected_;
}

ProviderPtr ProviderTable::Find(const std::string& name) const {
  base::MutexLock lock(mu_);
  const auto it = providers_.find(name);
  return it == providers_.end() ? nullptr : it->second.provider;
}

absl::StatusOr<ProviderPtr> ProviderTable::Get(const std::string& name) {
  base::MutexLock lock(mu_);
  const std::size_t most = options_.max_providers + expected_.size();
  while (!providers_.contains(name) && providers_.size() >= most) {
    if (MakePlace()) continue;
    return absl::ResourceExhaustedError(absl::StrCat(
        "provider: ", options_.max_providers, " names are in use beside the configured ones"));
  }
  return GetLocked(name);
}

bool ProviderTable::MakePlace() {
  auto oldest = providers_.end();
  for (auto it = providers_.begin(); it != providers_.end(); ++it) {
    // Nobody gets at a provider but from here or from who holds it: once unused, it stays so.
    if (it->second.provider.use_count() > 1) continue;
    if (oldest == providers_.end() || it->second.used < oldest->second.used) oldest = it;
  }
  if (oldest == providers_.end()) return false;
  providers_.erase(oldest);
  return true;
}

ProviderPtr ProviderTable::GetLocked(const std::string& name) {
  Entry& entry = providers_[name];
  entry.used = ++uses_;
  if (entry.provider) return entry.provider;
  if (registered_.size() < options_.max_providers + expected_.size()) registered_.insert(name);
  const bool registered = registered_.contains(name);
  if (!registered && !std::exchange(warned_, true)) {
    base::Log().warn(
        "bridge: provider {}: over {} names since the start: those that policy.providers does not "
        "have are counted in ListProviders only, no longer in metrics",
        name, options_.max_providers);
  }
  entry.provider = std::make_shared<Provider>(name, options_, registered ? &registry_ : nullptr);
  return entry.provider;
}

std::vector<ProviderPtr> ProviderTable::All() const {
  base::MutexLock lock(mu_);
  std::vector<ProviderPtr> all;
  for (const auto& [name, entry] : providers_) all.push_back(entry.provider);
  return all;
}

}  // namespace postern::bridge

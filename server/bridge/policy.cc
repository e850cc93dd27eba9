#include "server/bridge/policy.h"

#include <algorithm>

namespace postern::bridge {
namespace {

constexpr absl::Duration kShortestTimeout = absl::Milliseconds(1);
constexpr absl::Duration kLongestTimeout = absl::Seconds(5);

}  // namespace

std::optional<DefaultVerdict> DefaultRule::For(DefaultCause cause) const {
  const auto& special = by_cause[static_cast<std::size_t>(cause)];
  return special ? special : verdict;
}

void DefaultTable::Replace(const PolicyOptions& options) {
  auto rules = std::make_shared<Rules>();
  rules->timeout = std::clamp(options.timeout, kShortestTimeout, kLongestTimeout);
  rules->domains = options.domains;
  rules->providers = options.providers;
  rules->global = options.defaults;
  base::MutexLock lock(mu_);
  rules_ = std::move(rules);
}

std::shared_ptr<const DefaultTable::Rules> DefaultTable::rules() const {
  base::MutexLock lock(mu_);
  return rules_;
}

const ProviderRule* DefaultTable::Rules::Find(absl::string_view provider) const {
  for (const ProviderRule& rule : providers) {
    if (rule.name == provider) return &rule;
  }
  return nullptr;
}

DefaultVerdict DefaultTable::For(absl::string_view domain, absl::string_view provider,
                                 std::optional<DefaultVerdict> attached, DefaultCause cause) const {
  const std::shared_ptr<const Rules> now = rules();
  std::optional<DefaultVerdict> by_domain;
  std::size_t best = 0;
  for (const DomainRule& rule : now->domains) {
    const std::size_t specificity = Specificity(rule.domain, domain);
    if (specificity <= best) continue;
    if (const auto verdict = rule.rule.For(cause)) {
      by_domain = verdict;
      best = specificity;
    }
  }
  if (by_domain) return *by_domain;
  if (const ProviderRule* rule = now->Find(provider)) {
    if (const auto verdict = rule->rule.For(cause)) return *verdict;
  }
  if (attached) return *attached;
  return now->global.For(cause).value_or(DefaultVerdict::kKeep);
}

DefaultVerdict DefaultTable::ForAnyDomain(absl::string_view provider,
                                          std::optional<DefaultVerdict> attached) const {
  const std::shared_ptr<const Rules> now = rules();
  const ProviderRule* rule = now->Find(provider);
  if (rule != nullptr && rule->rule.verdict) return *rule->rule.verdict;
  if (attached) return *attached;
  return now->global.verdict.value_or(DefaultVerdict::kKeep);
}

absl::Duration DefaultTable::TimeoutFor(absl::string_view provider, absl::Duration asked) const {
  const std::shared_ptr<const Rules> now = rules();
  absl::Duration longest = now->timeout;
  if (const ProviderRule* rule = now->Find(provider)) {
    longest = std::clamp(rule->max_timeout, kShortestTimeout, longest);
  }
  return asked == absl::ZeroDuration() ? longest : std::clamp(asked, kShortestTimeout, longest);
}

}  // namespace postern::bridge

#include "server/bridge/policy.h"

namespace postern::bridge {

std::optional<DefaultVerdict> DefaultRule::For(DefaultCause cause) const {
  const auto& special = by_cause[static_cast<std::size_t>(cause)];
  return special ? special : verdict;
}

DefaultTable::DefaultTable(const PolicyOptions& options)
    : domains_(options.domains), providers_(options.providers), global_(options.defaults) {}

const ProviderRule* DefaultTable::FindProvider(absl::string_view name) const {
  for (const ProviderRule& rule : providers_) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

DefaultVerdict DefaultTable::For(absl::string_view domain, absl::string_view provider,
                                 std::optional<DefaultVerdict> attached, DefaultCause cause) const {
  std::optional<DefaultVerdict> by_domain;
  std::size_t best = 0;
  for (const DomainRule& rule : domains_) {
    const std::size_t specificity = Specificity(rule.domain, domain);
    if (specificity <= best) continue;
    if (const auto verdict = rule.rule.For(cause)) {
      by_domain = verdict;
      best = specificity;
    }
  }
  if (by_domain) return *by_domain;
  if (const ProviderRule* rule = FindProvider(provider)) {
    if (const auto verdict = rule->rule.For(cause)) return *verdict;
  }
  if (attached) return *attached;
  return global_.For(cause).value_or(DefaultVerdict::kKeep);
}

}  // namespace postern::bridge

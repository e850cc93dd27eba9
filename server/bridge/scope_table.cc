#include "server/bridge/scope_table.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/bridge/provider.h"

namespace postern::bridge {
namespace {

// Globs that match `domain`, the most specific one first.
std::vector<std::string> GlobsOf(const std::string& domain) {
  std::vector<std::string> globs = {domain};
  if (!absl::StartsWith(domain, "[")) {
    for (std::size_t dot = domain.find('.'); dot != std::string::npos;
         dot = domain.find('.', dot + 1)) {
      globs.push_back(absl::StrCat("*", domain.substr(dot)));
    }
  }
  globs.push_back("*");
  return globs;
}

bool Concerns(const ScopeRule& rule, absl::Time opened, absl::Time now) {
  return rule.ended > now && rule.decision != Decision::kAbstain &&
         (!rule.target.recycle || opened <= rule.arrived);
}

}  // namespace

VerdictStatus ScopeTable::Put(Provider* provider, ScopeRule rule) {
  rule.since = clock_.Now();
  rule.until = rule.since + rule.target.ttl;
  rule.arrived = clock_.Steady();
  rule.ended = rule.arrived + rule.target.ttl;
  return Add(provider, std::move(rule));
}

void ScopeTable::Restore(Provider* provider, ScopeRule rule) {
  const absl::Duration left = rule.until - clock_.Now();
  if (left <= absl::ZeroDuration()) return;
  rule.arrived = absl::InfinitePast();  // no connection is as old
  rule.ended = clock_.Steady() + left;
  Add(provider, std::move(rule));
}

VerdictStatus ScopeTable::Add(Provider* provider, ScopeRule rule) {
  auto within = std::make_shared<const Matcher>(Matcher::Create(rule.within).value_or(Matcher()));
  const absl::Time now = clock_.Steady();
  base::MutexLock lock(mu_);
  if (!rules_.contains(provider)) providers_.push_back(provider);
  Rules& rules = rules_[provider];
  const std::pair<std::string, std::string> scope(rule.target.domain, rule.target.binding);
  const auto old = rules.find(scope);
  if (old != rules.end() && old->second.rule->ended > now) {
    if (rule.target.revision <= old->second.rule->target.revision) return VerdictStatus::kStale;
  } else if (rules.size() >= kMostRules) {
    absl::erase_if(rules, [now](const auto& entry) { return entry.second.rule->ended <= now; });
    if (rules.size() >= kMostRules) return VerdictStatus::kLimit;
  }
  rules[scope] = {std::make_shared<const ScopeRule>(std::move(rule)), std::move(within)};
  changed_ = true;
  any_.store(true, std::memory_order_release);
  return VerdictStatus::kStored;
}

std::shared_ptr<const ScopeRule> ScopeTable::Find(const Provider* provider,
                                                  const mail::PairKey& pair,
                                                  absl::Time opened) const {
  if (!any_.load(std::memory_order_acquire)) return nullptr;
  const absl::Time now = clock_.Steady();
  base::MutexLock lock(mu_);
  const auto rules = rules_.find(provider);
  if (rules == rules_.end()) return nullptr;
  for (const std::string& glob : GlobsOf(pair.domain)) {
    for (const std::string& binding : {pair.binding, std::string()}) {
      const auto found = rules->second.find(std::pair(glob, binding));
      if (found == rules->second.end()) continue;
      const Entry& entry = found->second;
      if (Concerns(*entry.rule, opened, now) && entry.within->Matches(pair.domain, pair.binding)) {
        return entry.rule;
      }
    }
  }
  return nullptr;
}

std::vector<Provider*> ScopeTable::Providers() const {
  if (!any_.load(std::memory_order_acquire)) return {};
  base::MutexLock lock(mu_);
  return providers_;
}

std::size_t ScopeTable::CountOf(const Provider* provider) const {
  const absl::Time now = clock_.Steady();
  base::MutexLock lock(mu_);
  const auto rules = rules_.find(provider);
  if (rules == rules_.end()) return 0;
  return static_cast<std::size_t>(
      std::count_if(rules->second.begin(), rules->second.end(), [now](const auto& entry) {
        return entry.second.rule->ended > now && entry.second.rule->decision != Decision::kAbstain;
      }));
}

absl::Status ScopeTable::Save(const std::function<absl::Status(const Kept& rules)>& save) {
  const absl::Time now = clock_.Steady();
  Kept all;
  {
    base::MutexLock lock(mu_);
    if (!std::exchange(changed_, false)) return absl::OkStatus();
    for (const auto& [provider, rules] : rules_) {
      for (const auto& [scope, entry] : rules) {
        if (entry.rule->ended > now) all.emplace_back(provider->name(), *entry.rule);
      }
    }
  }
  absl::Status status = save(all);
  if (status.ok()) return status;
  base::MutexLock lock(mu_);
  changed_ = true;
  return status;
}

}  // namespace postern::bridge

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

}  // namespace

bool ScopeRule::Concerns(const mail::PairKey& pair, absl::Time opened, absl::Time now) const {
  return ended > now && decision != Decision::kAbstain && (!target.recycle || opened <= arrived) &&
         (within == nullptr || within->Matches(pair.domain, pair.binding));
}

VerdictStatus ScopeTable::Put(const std::shared_ptr<Provider>& provider,
                              std::shared_ptr<ScopeRule> rule) {
  rule->since = clock_.Now();
  rule->until = rule->since + rule->target.ttl;
  rule->arrived = clock_.Steady();
  rule->ended = rule->arrived + rule->target.ttl;
  return Add(provider, std::move(rule));
}

void ScopeTable::Restore(const std::shared_ptr<Provider>& provider, ScopeRule rule) {
  const absl::Duration left = rule.until - clock_.Now();
  if (left <= absl::ZeroDuration()) return;
  rule.arrived = absl::InfinitePast();  // no connection is as old
  rule.ended = clock_.Steady() + left;
  Add(provider, std::make_shared<const ScopeRule>(std::move(rule)));
}

VerdictStatus ScopeTable::Add(const std::shared_ptr<Provider>& provider,
                              std::shared_ptr<const ScopeRule> rule) {
  const absl::Time now = clock_.Steady();
  base::MutexLock lock(mu_);
  std::pair<std::string, std::string> scope(rule->target.domain, rule->target.binding);
  const auto known = rules_.find(provider.get());
  if (known != rules_.end()) {
    const auto old = known->second.find(scope);
    if (old != known->second.end() && old->second->ended > now) {
      if (rule->target.revision <= old->second->target.revision) return VerdictStatus::kStale;
    } else if (known->second.size() >= kMostRules) {
      ExpireLocked(now);
    }
  }
  const auto [it, fresh] = rules_.try_emplace(provider.get());
  if (fresh) providers_.push_back(provider);
  Rules& rules = it->second;
  if (rules.size() >= kMostRules && !rules.contains(scope)) return VerdictStatus::kLimit;
  first_end_ = std::min(first_end_, rule->ended);
  std::shared_ptr<const ScopeRule>& place = rules[std::move(scope)];
  if (place) CountAge(*place, false);
  CountAge(*rule, true);
  place = std::move(rule);
  changed_ = true;
  any_.store(true, std::memory_order_release);
  return VerdictStatus::kStored;
}

void ScopeTable::CountAge(const ScopeRule& rule, bool there) {
  if (rule.decision == Decision::kAbstain || rule.target.after_age == absl::InfiniteDuration()) {
    return;
  }
  if (there) {
    ages_.insert(rule.target.after_age);
  } else {
    ages_.erase(ages_.find(rule.target.after_age));
  }
  least_age_ns_.store(ages_.empty() ? INT64_MAX : absl::ToInt64Nanoseconds(*ages_.begin()),
                      std::memory_order_relaxed);
}

void ScopeTable::ExpireLocked(absl::Time now) {
  if (now < first_end_) return;
  absl::Time first_end = absl::InfiniteFuture();
  std::vector<std::shared_ptr<Provider>> left;
  for (std::shared_ptr<Provider>& provider : providers_) {
    const auto it = rules_.find(provider.get());
    for (const auto& [scope, rule] : it->second) {
      if (rule->ended <= now) CountAge(*rule, false);
    }
    absl::erase_if(it->second, [now](const auto& entry) { return entry.second->ended <= now; });
    if (it->second.empty()) {
      rules_.erase(it);
      continue;
    }
    for (const auto& [scope, rule] : it->second) first_end = std::min(first_end, rule->ended);
    left.push_back(std::move(provider));
  }
  providers_ = std::move(left);
  first_end_ = first_end;
  any_.store(!providers_.empty(), std::memory_order_release);
}

void ScopeTable::Expire() {
  const absl::Time now = clock_.Steady();
  base::MutexLock lock(mu_);
  ExpireLocked(now);
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
      if (found != rules->second.end() && found->second->Concerns(pair, opened, now)) {
        return found->second;
      }
    }
  }
  return nullptr;
}

std::vector<std::shared_ptr<Provider>> ScopeTable::Providers() const {
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
        return entry.second->ended > now && entry.second->decision != Decision::kAbstain;
      }));
}

absl::Status ScopeTable::Save(const std::function<absl::Status(const Kept& rules)>& save) {
  const absl::Time now = clock_.Steady();
  Kept all;
  {
    base::MutexLock lock(mu_);
    ExpireLocked(now);
    if (!std::exchange(changed_, false)) return absl::OkStatus();
    for (const std::shared_ptr<Provider>& provider : providers_) {
      for (const auto& [scope, rule] : rules_[provider.get()]) {
        all.emplace_back(provider->name(), *rule);
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

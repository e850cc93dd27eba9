#include "server/bridge/scope_batch.h"

#include "absl/strings/match.h"

namespace postern::bridge {

ScopeBatch::ByBinding& ScopeBatch::Group(const std::string& glob) {
  if (glob == "*") return every_;
  return absl::StartsWith(glob, "*.") ? suffixes_[glob.substr(1)] : exact_[glob];
}

void ScopeBatch::Add(std::shared_ptr<const ScopeRule> rule, std::size_t verdict) {
  Scope*& scope = Group(rule->target.domain)[rule->target.binding];
  if (scope == nullptr) scope = &scopes_.emplace_back();
  scope->last = nullptr;
  if (rule->decision == Decision::kAbstain) return;
  scope->last = rule;
  if (rule->target.recycle) scope->recycle = rule;
  verdicts_.push_back({verdict, std::move(rule), scope});
}

ScopeBatch::Found ScopeBatch::Find(const mail::PairKey& pair) {
  Found found;
  const auto add = [&](const ByBinding& group) {
    for (const absl::string_view binding : {absl::string_view(pair.binding), absl::string_view()}) {
      if (const auto it = group.find(binding); it != group.end()) found.push_back(it->second);
    }
  };
  if (const auto it = exact_.find(pair.domain); it != exact_.end()) add(it->second);
  if (!suffixes_.empty() && !absl::StartsWith(pair.domain, "[")) {
    const absl::string_view domain = pair.domain;
    for (std::size_t dot = domain.find('.'); dot != absl::string_view::npos;
         dot = domain.find('.', dot + 1)) {
      const auto it = suffixes_.find(domain.substr(dot));
      if (it != suffixes_.end()) add(it->second);
    }
  }
  add(every_);
  return found;
}

std::vector<std::pair<std::size_t, std::uint64_t>> ScopeBatch::Ended() const {
  std::vector<std::pair<std::size_t, std::uint64_t>> ended;
  for (const OfVerdict& verdict : verdicts_) {
    const Scope& scope = *verdict.scope;
    const std::uint64_t count = verdict.rule->target.recycle ? scope.recycled
                                : verdict.rule == scope.last ? scope.ended
                                                             : 0;
    if (count > 0) ended.emplace_back(verdict.index, count);
  }
  return ended;
}

}  // namespace postern::bridge

#include "server/rpc/convert_scope.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "postern/v1/state.pb.h"
#include "server/base/log.h"
#include "server/config/state_file.h"
#include "server/config/values.h"
#include "server/mail/hold.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_hooks.h"
#include "server/rpc/rights.h"

namespace postern::rpc {
namespace {

constexpr absl::Duration kLongestTtl = absl::Hours(1);

std::string FileIn(const std::string& directory) { return absl::StrCat(directory, "/scopes.json"); }

void WriteTarget(const bridge::ScopeTarget& target, v1::ScopeTarget* out) {
  out->set_domain(target.domain);
  out->set_binding(target.binding);
  *out->mutable_ttl() = ToProto(target.ttl);
  out->set_revision(target.revision);
  if (target.recycle) out->set_recycle(true);
  if (target.after_deliveries > 0) {
    out->set_after_deliveries(static_cast<std::uint32_t>(target.after_deliveries));
  }
  if (target.after_age != absl::InfiniteDuration()) {
    *out->mutable_after_age() = ToProto(target.after_age);
  }
}

// What the filter of its stream leaves of the rule's own scope. Rules share the filter in memory;
// in the file each has one, so it must not be the whole of it.
bridge::Filter WithinScope(const bridge::ScopeRule& rule) {
  if (rule.within == nullptr) return {};
  const bridge::Filter& within = rule.within->filter();
  bridge::Filter scope;
  scope.domains.push_back(rule.target.domain);
  if (!rule.target.binding.empty()) scope.bindings.push_back(rule.target.binding);
  if (std::optional<bridge::Filter> both = Intersect(within, scope)) return *std::move(both);
  // Nothing: any one entry that lies outside of the scope says so, too.
  bridge::Filter apart;
  if (!within.domains.empty()) apart.domains.push_back(within.domains.front());
  if (!within.bindings.empty()) apart.bindings.push_back(within.bindings.front());
  return apart;
}

void WriteRule(const std::string& provider, const bridge::ScopeRule& rule, v1::ScopeState* out) {
  out->set_provider(provider);
  WriteTarget(rule.target, out->mutable_scope());
  out->set_decision(static_cast<v1::Decision>(rule.decision));
  *out->mutable_hold() = ToProto(rule.then.hold);
  *out->mutable_avoid_host() = ToProto(rule.then.avoid_host);
  const bridge::Filter within = WithinScope(rule);
  for (const std::string& domain : within.domains) out->mutable_within()->add_domains(domain);
  for (const std::string& binding : within.bindings) out->mutable_within()->add_bindings(binding);
  out->mutable_provenance()->set_by(Utf8(rule.by));
  out->mutable_provenance()->set_reason(Utf8(rule.reason));
  *out->mutable_provenance()->mutable_since() = ToProto(rule.since);
  *out->mutable_provenance()->mutable_until() = ToProto(rule.until);
}

absl::StatusOr<bridge::ScopeRule> FromProto(const v1::ScopeState& state) {
  absl::StatusOr<bridge::ScopeTarget> target = ToTarget(state.scope());
  if (!target.ok()) return target.status();
  if (state.decision() != v1::DECISION_ABSTAIN &&
      state.scope().rule_case() == v1::ScopeTarget::RULE_NOT_SET) {
    return absl::InvalidArgumentError("scope.rule: must be set");
  }
  absl::StatusOr<bridge::Matcher> within = bridge::Matcher::Create(ToFilter(state.within()));
  if (!within.ok()) return within.status();
  bridge::ScopeRule rule;
  rule.target = *std::move(target);
  rule.decision = static_cast<bridge::Decision>(state.decision());
  rule.then.hold = config::FromProto(state.hold());
  rule.then.avoid_host = config::FromProto(state.avoid_host());
  rule.within = std::make_shared<const bridge::Matcher>(*std::move(within));
  rule.by = state.provenance().by();
  rule.reason = state.provenance().reason();
  rule.since = config::FromProto(state.provenance().since());
  rule.until = config::FromProto(state.provenance().until());
  return rule;
}

}  // namespace

absl::StatusOr<bridge::ScopeTarget> ToTarget(const v1::ScopeTarget& target) {
  bridge::ScopeTarget out;
  out.domain = mail::NormalDomain(target.domain());
  out.binding = target.binding();
  // A glob is what a filter takes.
  bridge::Filter glob;
  glob.domains.push_back(out.domain);
  if (out.domain.empty() || !bridge::Matcher::Create(std::move(glob)).ok()) {
    return absl::InvalidArgumentError("scope.domain: must be a domain, \"*.suffix\" or \"*\"");
  }
  if (out.binding.size() > bridge::kMaxGlobBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("scope.binding: over ", bridge::kMaxGlobBytes, " bytes"));
  }
  if (target.has_ttl()) {
    const absl::StatusOr<absl::Duration> ttl =
        PositiveDuration(target.ttl(), "scope.ttl", kLongestTtl);
    if (!ttl.ok()) return ttl.status();
    out.ttl = *ttl;
  }
  out.revision = target.revision();
  switch (target.rule_case()) {
    case v1::ScopeTarget::kRecycle:
      if (!target.recycle()) return absl::InvalidArgumentError("scope.recycle: can only be true");
      out.recycle = true;
      break;
    case v1::ScopeTarget::kAfterDeliveries:
      if (target.after_deliveries() == 0) {
        return absl::InvalidArgumentError("scope.after_deliveries: must be at least 1");
      }
      out.after_deliveries = target.after_deliveries();
      break;
    case v1::ScopeTarget::kAfterAge: {
      const absl::StatusOr<absl::Duration> age =
          PositiveDuration(target.after_age(), "scope.after_age", absl::Hours(24));
      if (!age.ok()) return age.status();
      out.after_age = *age;
      break;
    }
    case v1::ScopeTarget::RULE_NOT_SET:
      break;  // ABSTAIN needs none; the bridge knows the decision (WhyNoRule)
  }
  return out;
}

absl::Status RestoreScopes(const std::string& directory, bridge::Bridge& bridge) {
  v1::ScopesState kept;
  const absl::StatusOr<bool> found = config::ReadState(FileIn(directory), &kept);
  if (!found.ok()) return found.status();
  for (const v1::ScopeState& state : kept.scopes()) {
    absl::StatusOr<bridge::ScopeRule> rule = FromProto(state);
    if (!rule.ok()) {
      base::Log().error("{}: {}", FileIn(directory), std::string(rule.status().message()));
      continue;
    }
    bridge.RestoreScope(state.provider(), *std::move(rule));
  }
  return absl::OkStatus();
}

absl::Status SaveScopes(const std::string& directory, bridge::Bridge& bridge) {
  return bridge.SaveScopes([&directory](const bridge::ScopeTable::Kept& rules) {
    v1::ScopesState keep;
    for (const auto& [provider, rule] : rules) WriteRule(provider, rule, keep.add_scopes());
    return config::WriteState(FileIn(directory), keep);
  });
}

}  // namespace postern::rpc

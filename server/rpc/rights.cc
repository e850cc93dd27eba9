#include "server/rpc/rights.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/mail/address.h"

namespace postern::rpc {
namespace {

constexpr char kNullSender[] = "<>";
constexpr char kDefaultBinding[] = "default";

struct MethodRight {
  absl::string_view method;
  Right right;
};
// The queries and what changes one's own messages are narrowed to what the identity may see
// (ListProviders: Rights::SeesClients).
constexpr MethodRight kMethods[] = {
    {"Delivery.Submit", Right::kSubmit},     {"Delivery.SubmitStream", Right::kSubmit},
    {"Delivery.GetMessage", Right::kAny},    {"Delivery.ListMessages", Right::kAny},
    {"Delivery.CancelMessage", Right::kAny}, {"Delivery.ResolveMessage", Right::kAny},
    {"Delivery.Outcomes", Right::kAny},      {"Hooks.Watch", Right::kWatch},
    {"Hooks.Decide", Right::kDecide},        {"Hooks.PostVerdicts", Right::kDecide},
    {"Hooks.ListProviders", Right::kAny},    {"Health.Check", Right::kNone},
    {"Health.Watch", Right::kNone},
};

bool Contains(const std::vector<std::string>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool MatchesGlob(absl::string_view glob, absl::string_view domain) {
  return bridge::Specificity(glob, domain) > 0;
}

bool MatchesName(absl::string_view pattern, absl::string_view name) {
  return absl::ConsumeSuffix(&pattern, "*") ? absl::StartsWith(name, pattern) : pattern == name;
}

// What both globs match; empty: nothing. Of two globs one holds the other, or they are apart.
absl::string_view CommonGlob(absl::string_view a, absl::string_view b) {
  if (absl::EqualsIgnoreCase(a, b) || b == "*") return a;
  if (a == "*") return b;
  const bool wide_a = absl::StartsWith(a, "*.");
  const bool wide_b = absl::StartsWith(b, "*.");
  // "*.b.example" lies within "*.example": its suffix ends in the other's.
  if (wide_a && wide_b) {
    if (absl::EndsWithIgnoreCase(a, b.substr(1))) return a;
    return absl::EndsWithIgnoreCase(b, a.substr(1)) ? b : absl::string_view();
  }
  if (wide_b) return MatchesGlob(b, a) ? a : absl::string_view();
  if (wide_a) return MatchesGlob(a, b) ? b : absl::string_view();
  return {};
}

// Both lists at once, where an empty one stands for everything. False: nothing is left.
template <typename Common>
bool IntersectList(const std::vector<std::string>& a, const std::vector<std::string>& b,
                   Common common, std::vector<std::string>* out) {
  if (a.empty() || b.empty()) {
    *out = a.empty() ? b : a;
    return true;
  }
  absl::flat_hash_set<absl::string_view> seen;
  for (const std::string& x : a) {
    for (const std::string& y : b) {
      const absl::string_view both = common(x, y);
      if (!both.empty() && seen.insert(both).second) out->emplace_back(both.data(), both.size());
    }
  }
  return !out->empty();
}

absl::Status CheckSender(const std::vector<std::string>& globs, const std::string& sender) {
  if (globs.empty()) return absl::OkStatus();
  if (sender.empty()) {
    if (Contains(globs, kNullSender) || Contains(globs, "*")) return absl::OkStatus();
    return absl::PermissionDeniedError("submit: sender_domains: the null sender is not allowed");
  }
  const absl::StatusOr<mail::Address> address = mail::ParseAddress(sender);
  if (!address.ok()) {
    // Nothing that the intake would take either: it says better what is wrong with it.
    return absl::InvalidArgumentError(absl::StrCat("sender: ", address.status().message()));
  }
  const bool allowed = std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return MatchesGlob(glob, address->domain);
  });
  if (allowed) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("submit: sender_domains: ", address->domain, " is not allowed"));
}

absl::Status Clamp(const bridge::Filter& allowed, absl::string_view right, bridge::Filter& filter) {
  // First: what follows takes as many steps as the product of both.
  if (absl::Status s = bridge::CheckLimits(filter); !s.ok()) return s;
  std::optional<bridge::Filter> both = Intersect(filter, allowed);
  if (!both.has_value()) {
    return absl::PermissionDeniedError(
        absl::StrCat(right, ": nothing that the filter names is allowed"));
  }
  filter = *std::move(both);
  return absl::OkStatus();
}

}  // namespace

absl::string_view RightName(Right right) {
  switch (right) {
    case Right::kSubmit:
      return "submit";
    case Right::kWatch:
      return "watch";
    case Right::kDecide:
      return "decide";
    case Right::kControl:
      return "control";
    case Right::kNone:
    case Right::kAny:
      break;
  }
  return "none";
}

Right RightFor(absl::string_view method) {
  for (const MethodRight& entry : kMethods) {
    if (entry.method == method) return entry.right;
  }
  return Right::kControl;
}

std::optional<bridge::Filter> Intersect(const bridge::Filter& a, const bridge::Filter& b) {
  bridge::Filter out;
  const auto same = [](absl::string_view x, absl::string_view y) {
    return x == y ? x : absl::string_view();
  };
  if (!IntersectList(a.domains, b.domains, CommonGlob, &out.domains) ||
      !IntersectList(a.bindings, b.bindings, same, &out.bindings)) {
    return std::nullopt;
  }
  return out;
}

Rights Rights::Everything() {
  Rights rights;
  rights.submit.emplace();
  rights.watch.emplace();
  rights.decide.emplace();
  rights.control = true;
  rights.all = true;
  return rights;
}

bool Rights::Has(Right right) const {
  switch (right) {
    case Right::kNone:
    case Right::kAny:
      return true;
    case Right::kSubmit:
      return submit.has_value();
    case Right::kWatch:
      return watch.has_value();
    case Right::kDecide:
      return decide.has_value();
    case Right::kControl:
      return control;
  }
  return false;
}

absl::Status Rights::AllowSubmission(mail::Submission& submission) const {
  if (!submit.has_value()) return absl::PermissionDeniedError("submit: the identity lacks it");
  if (absl::Status s = CheckSender(submit->sender_domains, submission.sender); !s.ok()) return s;
  const absl::string_view binding =
      submission.binding.empty() ? kDefaultBinding : absl::string_view(submission.binding);
  if (!submit->bindings.empty() && !Contains(submit->bindings, binding)) {
    return absl::PermissionDeniedError(
        absl::StrCat("submit: bindings: ", binding, " is not allowed"));
  }
  if (submit->tenants.empty()) return absl::OkStatus();
  if (submission.tenant.empty()) submission.tenant = submit->tenants.front();
  if (Contains(submit->tenants, submission.tenant)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("submit: tenants: ", submission.tenant, " is not allowed"));
}

absl::Status Rights::ClampWatch(bridge::Filter& filter) const {
  return Clamp(*watch, "watch", filter);
}

absl::Status Rights::ClampDecide(absl::string_view provider, bridge::Filter& filter) const {
  const std::vector<std::string>& names = decide->providers;
  const bool named =
      names.empty() || std::any_of(names.begin(), names.end(),
                                   [&](const auto& name) { return MatchesName(name, provider); });
  if (!named) {
    return absl::PermissionDeniedError(
        absl::StrCat("decide: providers: ", provider, " is not allowed"));
  }
  return Clamp(decide->filter, "decide", filter);
}

}  // namespace postern::rpc

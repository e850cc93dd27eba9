// MethodGuard and what else judges calls (access.h).
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/access.h"
#include "server/rpc/audit.h"

namespace postern::rpc {
namespace {

constexpr char kReasons[][16] = {"submit", "watch", "decide", "control", "all"};

// Why it was denied, from a bounded set: messages begin with the right that is missing.
std::string ReasonOf(const absl::Status& denied) {
  if (denied.code() == absl::StatusCode::kUnauthenticated) return "unauthenticated";
  for (const char* reason : kReasons) {
    if (absl::StartsWith(denied.message(), absl::StrCat(reason, ":"))) return reason;
  }
  return "other";
}

}  // namespace

MethodGuard::MethodGuard(Access& access, std::string method)
    : access_(access),
      method_(std::move(method)),
      right_(RightFor(absl::string_view(method_.data(), method_.size()))) {}

absl::Status MethodGuard::Admit(Call& call) {
  if (right_ == Right::kNone) return absl::OkStatus();
  const std::uint64_t generation = access_.generation();
  absl::StatusOr<IdentityPtr> identity = access_.Authenticate(call.server_context());
  if (!identity.ok()) {
    Count(identity.status());
    access_.LogDenial(method_, nullptr, call.server_context().peer(), identity.status());
    return identity.status();
  }
  call.SetIdentity(*std::move(identity), generation);
  return Deny(call, CheckRight(call.identity()));
}

absl::Status MethodGuard::CheckRight(const Identity& identity) const {
  if (identity.rights->Has(right_)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(RightName(right_), ": ", identity.name, " lacks this right"));
}

absl::Status MethodGuard::Renew(Call& call, Granted granted) {
  const std::uint64_t generation = access_.generation();
  if (call.access_generation() == generation) return absl::OkStatus();
  absl::StatusOr<IdentityPtr> identity = access_.Authenticate(call.server_context());
  absl::Status status = identity.status();
  if (status.ok() && (*identity)->name != call.identity().name) {
    status = absl::UnauthenticatedError(
        absl::StrCat("by the configuration now in force the caller is ", (*identity)->name,
                     ", no longer ", call.identity().name));
  }
  if (status.ok()) status = CheckRight(**identity);
  if (status.ok()) status = granted(**identity);
  if (!status.ok()) return Deny(call, std::move(status));
  call.SetIdentity(*std::move(identity), generation);
  return absl::OkStatus();
}

absl::Status MethodGuard::Deny(const Call& call, absl::Status denied) {
  if (denied.code() != absl::StatusCode::kPermissionDenied &&
      denied.code() != absl::StatusCode::kUnauthenticated) {
    return denied;
  }
  Count(denied);
  access_.LogDenial(method_, &call.identity(), call.server_context().peer(), denied);
  return denied;
}

void MethodGuard::AuditRefusal(const Call& call, const absl::Status& status) const {
  if (right_ != Right::kControl) return;
  Audit({method_, call.identity().name, "", "", "", CallerOf(call)}, status);
}

void MethodGuard::Count(const absl::Status& denied) {
  const std::string reason = ReasonOf(denied);
  base::Counter*& counter = denied_[reason];
  if (counter == nullptr) {
    counter = &access_.metrics().AddCounter(
        "postern_rpc_denied_total", "Calls and frames that were denied, by what was missing.",
        {{"method", method_}, {"reason", reason}});
  }
  counter->Add();
}

absl::Status StillWhole(const Identity& identity, const bridge::Filter& granted,
                        const bridge::Filter& left) {
  const auto lost = [](const std::vector<std::string>& before,
                       const std::vector<std::string>& after) {
    if (before.empty()) return !after.empty();  // it was everything
    return std::any_of(before.begin(), before.end(), [&](const std::string& entry) {
      return std::find(after.begin(), after.end(), entry) == after.end();
    });
  };
  if (!lost(granted.domains, left.domains) && !lost(granted.bindings, left.bindings)) {
    return absl::OkStatus();
  }
  return absl::AbortedError(
      absl::StrCat("the rights of ", identity.name, " were narrowed: open the stream again"));
}

void DenyVerdict(MethodGuard& guard, const Call& call, const std::string& provider,
                 const bridge::VerdictResult& result) {
  const absl::Status denied = absl::PermissionDeniedError(
      absl::StrCat("decide: verdict ", result.verdict_id, " of ", provider, ": ", result.detail));
  (void)guard.Deny(call, denied);
}

absl::StatusOr<std::shared_ptr<void>> TakeStreamPlace(const Access& access,
                                                      const Identity& identity) {
  if (identity.usage == nullptr) return std::shared_ptr<void>();
  const int most = access.max_streams_per_identity();
  const std::shared_ptr<Usage> usage = identity.usage;
  const int before = usage->streams.fetch_add(1, std::memory_order_relaxed);
  std::shared_ptr<void> place(
      usage.get(), [usage](void*) { usage->streams.fetch_sub(1, std::memory_order_relaxed); });
  if (before < most) return place;
  return absl::ResourceExhaustedError(
      absl::StrCat("policy.max_streams_per_identity: ", identity.name, " has ", most,
                   " streams open, the limit"));
}

}  // namespace postern::rpc

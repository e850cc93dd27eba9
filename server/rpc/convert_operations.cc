#include "server/rpc/convert_operations.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/bridge/filter.h"
#include "server/mail/hold.h"
#include "server/rpc/convert.h"

namespace postern::rpc {

absl::StatusOr<mail::Scope> ToScope(const v1::Scope& scope) {
  if (scope.domain().empty()) {
    return absl::InvalidArgumentError("scope.domain: must be set; \"*\" is every domain");
  }
  if (absl::StartsWith(scope.domain(), "site:")) {
    return absl::UnimplementedError("scope.domain: sites are not served yet");
  }
  bridge::Filter filter;
  filter.domains.push_back(scope.domain());
  if (!bridge::Matcher::Create(std::move(filter)).ok() || absl::StrContains(scope.domain(), '/')) {
    return absl::InvalidArgumentError(absl::StrCat(
        "scope.domain: must be a domain, \"*.suffix\" or \"*\": \"", scope.domain(), "\""));
  }
  return mail::Scope{mail::NormalDomain(scope.domain()), scope.binding()};
}

absl::Status CheckReason(const std::string& reason) {
  if (reason.size() <= kMaxAdminReasonBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("reason: has ", reason.size(), " bytes, at most ", kMaxAdminReasonBytes));
}

absl::StatusOr<mail::Hold> ToHold(const v1::SuspendRequest& request, absl::Time now,
                                  std::string who) {
  absl::StatusOr<mail::Scope> scope = ToScope(request.scope());
  if (!scope.ok()) return scope.status();
  if (request.reason().empty()) {
    return absl::InvalidArgumentError("reason: must be set; it is shown to everyone who asks");
  }
  if (absl::Status status = CheckReason(request.reason()); !status.ok()) return status;
  mail::Hold hold;
  hold.scope = *std::move(scope);
  hold.who = std::move(who);
  hold.reason = request.reason();
  if (request.has_duration()) {
    const absl::StatusOr<absl::Duration> duration =
        PositiveDuration(request.duration(), "duration", kLongestSuspension);
    if (!duration.ok()) return duration.status();
    hold.until = now + *duration;
  }
  return hold;
}

absl::StatusOr<mail::Reply> ToFailReply(const v1::Reply& reply) {
  mail::Reply out;
  out.code = reply.code() == 0 ? 550 : reply.code();
  if (!out.permanent()) return absl::InvalidArgumentError("reply.code: must be 500 to 599");
  out.enhanced = reply.enhanced_status().empty() && reply.code() == 0 ? std::string("5.7.1")
                                                                      : reply.enhanced_status();
  if (!out.enhanced.empty() && !absl::StartsWith(out.enhanced, "5.")) {
    return absl::InvalidArgumentError("reply.enhanced_status: must begin with \"5.\"");
  }
  out.text = reply.text().empty() ? std::string("failed by an operator") : reply.text();
  if (out.text.size() > 1024) return absl::InvalidArgumentError("reply.text: over 1024 bytes");
  return out;
}

absl::StatusOr<delivery::Resolution> ToResolution(v1::InDoubtResolution resolution) {
  switch (resolution) {
    case v1::IN_DOUBT_RESOLUTION_DELIVERED:
      return delivery::Resolution::kDelivered;
    case v1::IN_DOUBT_RESOLUTION_RETRY:
      return delivery::Resolution::kRetry;
    case v1::IN_DOUBT_RESOLUTION_FAIL:
      return delivery::Resolution::kFail;
    default:
      return absl::InvalidArgumentError("resolution: must be set");
  }
}

void ToProto(const mail::Hold& hold, v1::Suspension* out) {
  out->mutable_scope()->set_domain(hold.scope.domain);
  out->mutable_scope()->set_binding(hold.scope.binding);
  out->set_kind(ToProto(hold.requeue_reason()));
  out->set_who(Utf8(hold.who));
  out->set_reason(Utf8(hold.reason));
  if (hold.since != absl::InfinitePast()) *out->mutable_since() = ToProto(hold.since);
  if (hold.until != absl::InfiniteFuture()) *out->mutable_until() = ToProto(hold.until);
}

}  // namespace postern::rpc

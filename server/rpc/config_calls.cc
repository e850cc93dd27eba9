#include "server/rpc/config_calls.h"

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/config/live_config.h"
#include "server/rpc/audit.h"
#include "server/rpc/convert_config.h"
#include "server/rpc/convert_switch.h"

namespace postern::rpc {
namespace {

absl::Status NotHere() { return absl::UnimplementedError("this process has no configuration"); }

// As it is kept with what was done.
std::string By(const Call& call) {
  return absl::StrCat(call.identity().name, " at ", call.server_context().peer());
}

std::string Described(const config::LiveConfig::Outcome& outcome, bool validate_only) {
  if (validate_only || !outcome.errors.empty()) {
    return absl::StrCat("checked, ", outcome.errors.size(), " errors");
  }
  return absl::StrCat("generation ", outcome.generation);
}

}  // namespace

Task<absl::Status> ConfigCalls::Get(UnaryCall<v1::GetConfigRequest, v1::GetConfigResponse>& call) {
  AuditEntry entry{"Control.GetConfig", call.identity().name, "", "", "", CallerOf(call)};
  absl::Status status;
  if (context_.deps.config != nullptr) {
    ToProto(context_.deps.config->in_force(), &call.response);
    entry.detail = absl::StrCat("generation ", call.response.generation());
  } else {
    status = NotHere();
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> ConfigCalls::Apply(
    UnaryCall<v1::ApplyConfigRequest, v1::ApplyConfigResponse>& call) {
  using Outcome = config::LiveConfig::Outcome;
  AuditEntry entry{"Control.ApplyConfig", call.identity().name, "", call.request.reason(), "",
                   CallerOf(call)};
  const bool validate_only = call.request.validate_only();
  absl::StatusOr<config::LiveConfig::ApplyRequest> wanted = ToApply(call.request, By(call));
  absl::Status status = wanted.status();
  if (status.ok() && context_.deps.config == nullptr) status = NotHere();
  if (status.ok()) {
    // On the worker: it reads and syncs files.
    std::function<absl::StatusOr<Outcome>()> apply = [this, &wanted] {
      return context_.deps.config->Apply(*std::move(wanted));
    };
    const absl::StatusOr<Outcome> outcome =
        co_await RunOn<Outcome>(context_.worker, queue_, std::move(apply));
    status = outcome.status();
    if (outcome.ok()) {
      ToProto(*outcome, &call.response);
      entry.detail = Described(*outcome, validate_only);
    }
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> ConfigCalls::SetSwitch(
    UnaryCall<v1::SetPolicySwitchRequest, v1::SetPolicySwitchResponse>& call) {
  const v1::SetPolicySwitchRequest& request = call.request;
  AuditEntry entry{"Control.SetPolicySwitch",
                   call.identity().name,
                   request.provider().empty() ? "all" : request.provider(),
                   request.reason(),
                   v1::PolicySwitch_Name(request.position()),
                   CallerOf(call)};
  absl::StatusOr<bridge::SwitchState> state =
      ToSwitch(request, By(call), context_.deps.clock.Now());
  absl::Status status = state.status();
  if (status.ok()) {
    // On the worker: it syncs a file.
    std::function<absl::StatusOr<bool>()> set = [this, &state]() -> absl::StatusOr<bool> {
      const absl::Status done = context_.deps.bridge.policy_switch().Set(*std::move(state));
      if (!done.ok()) return done;
      return true;
    };
    const absl::StatusOr<bool> done = co_await RunOn<bool>(context_.worker, queue_, std::move(set));
    status = done.status();
  }
  Audit(entry, status);
  co_return status;
}

}  // namespace postern::rpc

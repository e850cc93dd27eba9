#include "server/rpc/config_calls.h"

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/config/live_config.h"
#include "server/rpc/convert_config.h"
#include "server/rpc/convert_switch.h"

namespace postern::rpc {
namespace {

template <class UnaryCallType>
std::string CallerOf(const UnaryCallType& call) {
  return absl::StrCat(call.identity().name, " at ", call.context.peer());
}

absl::Status NotHere() { return absl::UnimplementedError("this process has no configuration"); }

}  // namespace

Task<absl::Status> ConfigCalls::Get(UnaryCall<v1::GetConfigRequest, v1::GetConfigResponse>& call) {
  if (context_.deps.config == nullptr) co_return NotHere();
  ToProto(context_.deps.config->in_force(), &call.response);
  co_return absl::OkStatus();
}

Task<absl::Status> ConfigCalls::Apply(
    UnaryCall<v1::ApplyConfigRequest, v1::ApplyConfigResponse>& call) {
  using Outcome = config::LiveConfig::Outcome;
  if (context_.deps.config == nullptr) co_return NotHere();
  const std::string caller = CallerOf(call);
  absl::StatusOr<config::LiveConfig::ApplyRequest> wanted = ToApply(call.request, caller);
  if (!wanted.ok()) co_return wanted.status();
  // On the worker: it reads and syncs files.
  std::function<absl::StatusOr<Outcome>()> apply = [this, &wanted] {
    return context_.deps.config->Apply(*std::move(wanted));
  };
  const absl::StatusOr<Outcome> outcome =
      co_await RunOn<Outcome>(context_.worker, queue_, std::move(apply));
  const bool changed = outcome.ok() && outcome->errors.empty() && !call.request.validate_only();
  base::Log().info("audit: Control.ApplyConfig by {}: {}{}", caller,
                   changed        ? absl::StrCat("generation ", outcome->generation)
                   : outcome.ok() ? absl::StrCat("checked, ", outcome->errors.size(), " errors")
                                  : std::string(outcome.status().message()),
                   call.request.reason().empty() ? "" : absl::StrCat("; ", call.request.reason()));
  if (!outcome.ok()) co_return outcome.status();
  ToProto(*outcome, &call.response);
  co_return absl::OkStatus();
}

Task<absl::Status> ConfigCalls::SetSwitch(
    UnaryCall<v1::SetPolicySwitchRequest, v1::SetPolicySwitchResponse>& call) {
  const std::string caller = CallerOf(call);
  absl::StatusOr<bridge::SwitchState> state =
      ToSwitch(call.request, caller, context_.deps.clock.Now());
  if (!state.ok()) co_return state.status();
  // On the worker: it syncs a file.
  std::function<absl::StatusOr<bool>()> set = [this, &state]() -> absl::StatusOr<bool> {
    const absl::Status status = context_.deps.bridge.policy_switch().Set(*std::move(state));
    if (!status.ok()) return status;
    return true;
  };
  const absl::StatusOr<bool> done = co_await RunOn<bool>(context_.worker, queue_, std::move(set));
  base::Log().info("audit: Control.SetPolicySwitch by {}: {} {}: {}", caller,
                   call.request.provider().empty() ? "all" : call.request.provider(),
                   v1::PolicySwitch_Name(call.request.position()),
                   done.ok() ? call.request.reason() : std::string(done.status().message()));
  co_return done.status();
}

}  // namespace postern::rpc

// The kill switch: proto <-> values, and how it is kept over restarts. See convert.h.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "postern/v1/control.pb.h"
#include "postern/v1/hooks.pb.h"
#include "server/base/clock.h"
#include "server/bridge/policy_switch.h"

namespace postern::rpc {

// INVALID_ARGUMENT: position, reason or duration.
absl::StatusOr<bridge::SwitchState> ToSwitch(const v1::SetPolicySwitchRequest& request,
                                             std::string caller, absl::Time now);
void ToProto(const bridge::SwitchState& state, v1::PolicySwitchState* out);

// Throws the switches that an earlier process left in switches.json in this directory
// (config::StateDirectory), and keeps them there from now on. FAILED_PRECONDITION naming the file:
// it is damaged.
absl::Status KeepSwitchesIn(const std::string& directory, bridge::PolicySwitch& policy_switch);

}  // namespace postern::rpc

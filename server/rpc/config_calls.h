// ConfigCalls: Control.GetConfig and ApplyConfig over config::LiveConfig, SetPolicySwitch over the
// bridge.
#pragma once

#include "postern/v1/control.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/context.h"
#include "server/rpc/coro.h"

namespace postern::rpc {

class ConfigCalls {
 public:
  ConfigCalls(Queue& queue, ServiceContext& context) : queue_(queue), context_(context) {}

  Task<absl::Status> Get(UnaryCall<v1::GetConfigRequest, v1::GetConfigResponse>& call);
  Task<absl::Status> Apply(UnaryCall<v1::ApplyConfigRequest, v1::ApplyConfigResponse>& call);
  Task<absl::Status> SetSwitch(
      UnaryCall<v1::SetPolicySwitchRequest, v1::SetPolicySwitchResponse>& call);

 private:
  Queue& queue_;
  ServiceContext& context_;
};

}  // namespace postern::rpc

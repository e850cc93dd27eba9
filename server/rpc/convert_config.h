// The configuration's calls: proto <-> values. See convert.h.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "postern/v1/control.pb.h"
#include "server/config/live_config.h"

namespace postern::rpc {

inline constexpr std::size_t kMaxControlReasonBytes = 256;

// Takes the configuration out of `request`. INVALID_ARGUMENT: reason, duration.
absl::StatusOr<config::LiveConfig::ApplyRequest> ToApply(v1::ApplyConfigRequest& request,
                                                         std::string caller);

void ToProto(const config::LiveConfig::InForce& in_force, v1::GetConfigResponse* out);
void ToProto(const config::LiveConfig::Outcome& outcome, v1::ApplyConfigResponse* out);

}  // namespace postern::rpc

// Verdicts for scopes: proto <-> values, and how they are kept over restarts. See convert.h.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "postern/v1/hooks.pb.h"
#include "server/bridge/bridge.h"

namespace postern::rpc {

// INVALID_ARGUMENT naming the field ("scope.ttl: ...").
absl::StatusOr<bridge::ScopeTarget> ToTarget(const v1::ScopeTarget& target);

// Puts in force what an earlier process left in scopes.json in this directory
// (config::StateDirectory). FAILED_PRECONDITION naming the file: it is damaged.
absl::Status RestoreScopes(const std::string& directory, bridge::Bridge& bridge);

// Keeps the rules there if any changed since the last call. UNAVAILABLE: it cannot be written.
absl::Status SaveScopes(const std::string& directory, bridge::Bridge& bridge);

}  // namespace postern::rpc

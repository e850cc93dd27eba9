// Wiring of gRPC: where it is served, who may call, and by which rules policy clients are judged.
// Reads the files that this takes. Domain globs are brought to the form that queues have.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "postern/v1/config.pb.h"
#include "server/bridge/policy.h"
#include "server/rpc/server.h"

namespace postern {

// INVALID_ARGUMENT: a file of TLS or a token cannot be used
// ("SOURCE: server.grpc_listeners[0].tls.key_file: PATH: cause").
absl::StatusOr<rpc::ServerOptions> MakeRpcOptions(const v1::Config& config,
                                                  const std::string& source);

// The part of it that may change while the server runs.
absl::StatusOr<rpc::AccessOptions> MakeAccessOptions(const v1::Config& config,
                                                     const std::string& source);

bridge::PolicyOptions MakePolicyOptions(const v1::Policy& policy, std::uint64_t generation);

}  // namespace postern

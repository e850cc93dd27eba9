// Wiring of gRPC: where it is served, and who may call. Reads the files that this takes.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "postern/v1/config.pb.h"
#include "server/rpc/server.h"

namespace postern {

// INVALID_ARGUMENT: a file of TLS or a token cannot be used
// ("SOURCE: server.grpc_listeners[0].tls.key_file: PATH: cause").
absl::StatusOr<rpc::ServerOptions> MakeRpcOptions(const v1::Config& config,
                                                  const std::string& source);

// The part of it that may change while the server runs.
absl::StatusOr<rpc::AccessOptions> MakeAccessOptions(const v1::Config& config,
                                                     const std::string& source);

}  // namespace postern

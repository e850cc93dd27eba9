// ValidateAccess: what the types of config.proto cannot say about TLS, identities and rights.
#pragma once

#include "postern/v1/config.pb.h"
#include "server/config/problems.h"

namespace postern::config {

// Reports everything in `server.grpc_listeners[].tls`, `identities` and `policy.providers[]` (who
// may attach) that makes no sense. Opens no file.
void ValidateAccess(const postern::v1::Config& config, Problems& problems);

// Whether clients of the listener must show a certificate. REQUIRES: it has tls and its address is
// valid.
bool RequiresClientCertificates(const postern::v1::GrpcListener& listener);

// Permissions of a unix socket, 0 to 0777; -1: `text` is no such number in octal. Empty: 0660.
int ParseUnixMode(const std::string& text);

}  // namespace postern::config

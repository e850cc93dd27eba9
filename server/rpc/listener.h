// Listener: where gRPC is served, and how its clients are known there.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/rpc/credentials.h"

namespace postern::rpc {

struct Listener {
  // "127.0.0.1:9090", port 0 = any free one; or "unix:/run/postern.sock".
  std::string address;
  // Allows plaintext on an address that is not loopback.
  bool insecure = false;
  std::optional<TlsOptions> tls = std::nullopt;  // none: plaintext
  int unix_mode = 0660;                          // permissions of a unix socket
};

bool IsUnix(const Listener& listener);
// Plaintext that others than this host's users reach.
bool IsExposed(const Listener& listener);

// What the log must say at each start about who reaches the service there; empty: nothing. `open`:
// there are no identities, so whoever is let in has all rights.
std::string ExposureWarning(const Listener& listener, bool open);

// INVALID_ARGUMENT unless the address is "unix:PATH" or HOST:PORT with a numeric port, and unless
// HOST is loopback ("localhost", 127.0.0.0/8, [::1]), there is TLS, or `insecure` says that
// anything goes.
absl::Status CheckListener(const Listener& listener);

// Removes the socket of a dead process. FAILED_PRECONDITION naming the path: somebody listens on
// it, or it is something else than a socket. REQUIRES: IsUnix.
absl::Status ClearUnixSocket(const Listener& listener);

// Gives the socket its permissions. REQUIRES: IsUnix, and it is listened on.
absl::Status SetUnixMode(const Listener& listener);

}  // namespace postern::rpc

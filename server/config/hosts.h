// Hosts, listeners, address blocks and names as the configuration writes them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/mail/options.h"

namespace postern::config {

// A place to listen at: an address with a port, or a unix socket.
struct Endpoint {
  std::string host;  // "127.0.0.1", "[::1]" or "localhost"; empty for a unix socket
  std::uint16_t port = 0;
  std::string unix_path;
  bool loopback = false;  // only this host reaches it
};

// "127.0.0.1:9090", "[::1]:9090", "localhost:9090", "unix:/run/postern.sock". Port 0 is any free
// one. INVALID_ARGUMENT saying what is wrong.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text);

// "mx.example", "mx.example:2525", "192.0.2.1:2525", "[2001:db8::1]:25" or "2001:db8::1". The host
// of an IPv6 address has no brackets, the port is 0 when not given. INVALID_ARGUMENT.
absl::StatusOr<mail::HostPort> ParseHostPort(absl::string_view text);

// Like ParseHostPort, but an address: "192.0.2.53", "[2001:db8::53]:5353".
absl::Status CheckNameServer(absl::string_view text);

// "192.0.2.0/24", "2001:db8::/32", or an address for itself alone. Bits behind the prefix must be
// 0. INVALID_ARGUMENT.
absl::StatusOr<mail::AddressBlock> ParseAddressBlock(absl::string_view text);

// The same IPv4 addresses as an IPv6 socket may be told to dial them, "::ffff:192.0.2.0/120".
// REQUIRES: !block.v6.
mail::AddressBlock MappedBlock(const mail::AddressBlock& block);

// OK for an exact domain, "*.suffix" or "*"; else INVALID_ARGUMENT.
absl::Status CheckDomainGlob(absl::string_view text);

// OK for 1 to 64 of [A-Za-z0-9._-]; else INVALID_ARGUMENT.
absl::Status CheckName(absl::string_view text);

}  // namespace postern::config

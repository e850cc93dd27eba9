// The options of a session: where it comes from, TLS, AUTH; from the schema to values.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "postern/v1/config.pb.h"
#include "server/config/problems.h"
#include "server/mail/options.h"

namespace postern::config {

// Sets what `from` says about addresses and TLS. REQUIRES: `from` passed CheckSession().
void SetSession(const postern::v1::Options& from, mail::DeliveryOptions& to);

// For the queue of a gateway, after SetSession(): its TLS policy and credentials. Reads the
// password file; if that fails now, the password is empty.
void SetGatewaySession(const postern::v1::Gateway& gateway, mail::DeliveryOptions& to);

// The first line of a file. INVALID_ARGUMENT: there is none, or it is no password.
absl::StatusOr<std::string> ReadPassword(const std::string& path);

// Host and port; the host as it stands in the name of the gateway's queue.
std::shared_ptr<const mail::HostPort> GatewayHost(const postern::v1::Gateway& gateway);

// "host:port", the name of the gateway's queue. REQUIRES: merged.has_gateway().
std::string QueueOf(const postern::v1::Options& merged);

// Reports what is wrong with these options of one scope at `path`.
void CheckSession(const postern::v1::Options& options, const std::string& path, Problems& problems);

}  // namespace postern::config

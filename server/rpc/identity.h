// Identity: who makes a call, and what they may do. Every call has one before its handler runs:
//
//   call.identity().name                          for the audit log, and for what is kept per
//   client call.identity().rights->control
//
// Without `identities` in the configuration everyone who passes the listener's authentication has
// all rights: "local" over a unix socket or loopback in plaintext, the certificate's URI over TLS,
// else "anonymous". Thread: immutable, any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "server/mail/row.h"
#include "server/rpc/rights.h"

namespace postern::rpc {

enum class AuthMethod : std::uint8_t { kUnix, kLoopback, kPlaintext, kTls, kCertificate, kToken };

// "unix", "loopback", "plaintext", "tls" (without a client certificate), "certificate", "token".
absl::string_view AuthMethodName(AuthMethod method);

inline constexpr char kLocalIdentity[] = "local";
inline constexpr char kAnonymousIdentity[] = "anonymous";

struct Identity {
  std::string name;
  AuthMethod method = AuthMethod::kLoopback;
  // The configuration names it: its streams are limited (policy.max_streams_per_identity).
  bool configured = false;
  std::shared_ptr<const Rights> rights;
  // Watch and Decide streams that are open now, over all methods of authentication.
  std::shared_ptr<std::atomic<int>> streams;

  // What is kept with its messages (mail::Row::submitter): nothing for "local".
  const std::string& submitter() const;
  // Its own, or any with the right `all`.
  bool MaySee(const std::string& submitter_of_message) const {
    return rights->all || submitter_of_message == submitter();
  }
};

using IdentityPtr = std::shared_ptr<const Identity>;

}  // namespace postern::rpc

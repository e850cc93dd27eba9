// Identity: who makes a call, and what they may do. Every call has one before its handler runs:
//
//   call.identity().name               for the audit log, and for what is kept per client
//   call.identity().rights->control
//
// Without `identities` in the configuration everyone who passes the listener's authentication has
// all rights: "local" over a unix socket or loopback in plaintext, the certificate's URI over TLS,
// else "anonymous". Thread: immutable, any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "server/base/mutex.h"
#include "server/mail/row.h"
#include "server/queue/token_bucket.h"
#include "server/rpc/rights.h"

namespace postern::rpc {

// What is counted for one identity of the configuration, however it comes in, or without identities
// for one certificate URI. Thread: any.
class Usage {
 public:
  explicit Usage(int verdicts_per_second) : verdicts_(verdicts_per_second, verdicts_per_second) {}

  std::atomic<int> streams{0};  // Watch, Decide and Outcomes, open now

  // One more verdict; false: over the limit.
  bool TakeVerdict();
  void SetVerdictsPerSecond(int most);

 private:
  base::Mutex mu_;
  queue::TokenBucket verdicts_ ABSL_GUARDED_BY(mu_);
};

enum class AuthMethod : std::uint8_t { kUnix, kLoopback, kPlaintext, kTls, kCertificate, kToken };

// "unix", "loopback", "plaintext", "tls" (without a client certificate), "certificate", "token".
absl::string_view AuthMethodName(AuthMethod method);

inline constexpr char kLocalIdentity[] = "local";
inline constexpr char kAnonymousIdentity[] = "anonymous";

struct Identity {
  std::string name;
  AuthMethod method = AuthMethod::kLoopback;
  std::shared_ptr<const Rights> rights;
  std::shared_ptr<Usage> usage;  // null: "local" or "anonymous" without identities, not limited

  // One more verdict; false: over policy.max_verdicts_per_second.
  bool TakeVerdict() const { return usage == nullptr || usage->TakeVerdict(); }
  // What is kept with its messages (mail::Row::submitter): nothing for "local".
  const std::string& submitter() const;
  // Its own, or any with the right `all`.
  bool MaySee(const std::string& submitter_of_message) const {
    return rights->all || submitter_of_message == submitter();
  }
};

using IdentityPtr = std::shared_ptr<const Identity>;

}  // namespace postern::rpc

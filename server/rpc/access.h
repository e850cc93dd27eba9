// Access: finds out who makes a call. MethodGuard: lets a call of one method in, or not.
//
//   MethodGuard guard(access, "Delivery.Submit");
//   absl::Status status = guard.Admit(call);        // call.identity() from here on
//   if (...) return guard.Deny(call, absl::PermissionDeniedError("submit: ..."));
//   status = guard.Renew(call);                     // a stream: before each frame, either way
//
// What is denied is counted in postern_rpc_denied_total{method,reason} and logged for the audit, at
// most 20 lines a second. Thread: any, unless it says otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/base/metrics.h"
#include "server/base/mutex.h"
#include "server/bridge/question.h"
#include "server/queue/token_bucket.h"
#include "server/rpc/call.h"
#include "server/rpc/identity.h"

namespace postern::rpc {

// One entry of `identities`.
struct IdentitySpec {
  std::string name;
  std::vector<std::string> uris;  // of the certificate; a final '*' stands for any rest
  std::string token;              // "": none
  bool unix_peers = false;        // clients of unix sockets that show neither
  bool loopback_peers = false;    // the same over plaintext TCP on loopback
  Rights rights;
};

// Who may attach under a provider's name (`policy.providers[]`), and to what.
struct ProviderSpec {
  std::string name;
  std::vector<std::string> identities;  // none: any
  bridge::Filter allow;
};

struct AccessOptions {
  std::vector<IdentitySpec> identities;  // none: everyone has all rights
  std::vector<ProviderSpec> providers;
  int max_streams_per_identity = 8;
  int max_verdicts_per_second = 20'000;
};

class Access {
 public:
  Access(AccessOptions options, base::Registry& registry);
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;

  // Puts other identities in the place of those there are. Streams that are open find out by
  // MethodGuard::Renew; what is counted for an identity that stays goes on.
  void Replace(AccessOptions options);

  // Rises with every Replace, after it is done. One atomic load.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // UNAUTHENTICATED: no identity fits, or the token is not known.
  absl::StatusOr<IdentityPtr> Authenticate(const grpc::ServerContext& context) const;

  // Narrows the filter of an Attach to what the identity and the provider's name are allowed.
  // PERMISSION_DENIED: nothing is left of it, or the name is not the identity's to use.
  absl::Status ClampDecide(const Identity& identity, const std::string& provider,
                           bridge::Filter& filter) const;

  int max_streams_per_identity() const;
  base::Registry& metrics() { return registry_; }

  // One line for the audit. `identity` null: nobody.
  void LogDenial(const std::string& method, const Identity* identity, const std::string& peer,
                 const absl::Status& status);

 private:
  struct Table;
  std::shared_ptr<const Table> table() const;

  // What is counted for an identity, or for a certificate's URI when there are no identities; as it
  // was before if there was one of this name.
  std::shared_ptr<Usage> UsageOf(const std::string& name, int verdicts_per_second) const;

  base::Registry& registry_;
  std::atomic<std::uint64_t> generation_{0};
  mutable base::Mutex mu_;
  std::shared_ptr<const Table> table_ ABSL_GUARDED_BY(mu_);
  mutable std::map<std::string, std::shared_ptr<Usage>> usages_ ABSL_GUARDED_BY(mu_);
  queue::TokenBucket lines_ ABSL_GUARDED_BY(mu_);
  std::uint64_t unlogged_ ABSL_GUARDED_BY(mu_) = 0;
};

// Thread: one queue's.
class MethodGuard {
 public:
  // `method` is "Delivery.Submit"; `access` must outlive this.
  MethodGuard(Access& access, std::string method);

  // Identifies the caller and checks the right that the method asks for; the call then has its
  // identity. UNAUTHENTICATED, or PERMISSION_DENIED naming the right. Counts and logs what it
  // denies.
  absl::Status Admit(Call& call);

  // A request that is refused before it is carried out, for what is not served: the audit line, if
  // the method is one of control's.
  void AuditRefusal(const Call& call, const absl::Status& status) const;

  // Nothing has been replaced since the call was admitted or renewed. One atomic load.
  bool IsCurrent(const Call& call) const {
    return call.access_generation() == access_.generation();
  }

  // Judges an open stream by the identities now in force; at once OK while it is current.
  // UNAUTHENTICATED: its caller is nobody any more, or somebody else (another name). As Admit for
  // the right. Then `granted` is asked, with the new identity, whether what the stream was granted
  // is still its own. Counts and logs what it denies. After a failure: end the stream, do not ask
  // again. REQUIRES: the call was admitted.
  using Granted = absl::FunctionRef<absl::Status(const Identity& identity)>;
  absl::Status Renew(Call& call, Granted granted);
  absl::Status Renew(Call& call) {
    return Renew(call, [](const Identity&) { return absl::OkStatus(); });
  }

  // Counts and logs `denied`, and returns it. Anything but PERMISSION_DENIED and UNAUTHENTICATED is
  // only returned. The message begins with the right that is missing ("submit: ..."). REQUIRES: the
  // call was admitted.
  absl::Status Deny(const Call& call, absl::Status denied);

 private:
  absl::Status CheckRight(const Identity& identity) const;
  void Count(const absl::Status& denied);

  Access& access_;
  const std::string method_;
  const Right right_;
  std::map<std::string, base::Counter*> denied_;  // [reason], added when first met
};

// For MethodGuard::Renew: is all that a stream was granted still allowed, when `left` is what the
// rights now in force leave of it? ABORTED: only a part is; the client may open the stream again.
absl::Status StillWhole(const Identity& identity, const bridge::Filter& granted,
                        const bridge::Filter& left);

// A verdict that was DENIED, counted and logged as Deny() does.
void DenyVerdict(MethodGuard& guard, const Call& call, const std::string& provider,
                 const bridge::VerdictResult& result);

// Takes a place among the Watch, Decide and Outcomes streams of an identity; it is free again when
// what is returned goes. Null for callers without a name of their own ("local", "anonymous").
// RESOURCE_EXHAUSTED names the limit.
absl::StatusOr<std::shared_ptr<void>> TakeStreamPlace(const Access& access,
                                                      const Identity& identity);

}  // namespace postern::rpc

// Resolver: where a domain's mail goes, as an ordered list of addresses. The seam to DNS.
//
// Rules (RFC 5321 §5.1, RFC 7505): MX by preference, at random within one preference; no MX at all
// means the domain itself (implicit MX); a single MX of "." is a null MX; CNAMEs are followed; A
// and AAAA of every host. Answers are kept for their TTL.
//
// Thread: one resolver for each scheduler thread, used only there.
#pragma once

// The standard library first: without it Asio 1.22 finds no std::aligned_alloc, and translation
// units would disagree about how its memory is freed.
#include <memory>
#include <string>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/ip/address.hpp>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace postern::dns {

struct Target {
  std::string host;  // the MX host's name, lower case, without a final dot
  int preference = 0;
  asio::ip::address address;
};

enum class MxOutcome {
  kOk,         // targets is not empty
  kNullMx,     // the domain accepts no mail: fail, 556 5.1.10
  kNoDomain,   // NXDOMAIN: fail, 550 5.1.2
  kNoAddress,  // the hosts exist but none has an address: defer, 451 4.4.4
  kTemporary,  // SERVFAIL, REFUSED, time-out, malformed answer: defer, 451 4.4.3
};

struct MxAnswer {
  MxOutcome outcome = MxOutcome::kTemporary;
  std::vector<Target> targets;  // in the order in which they are to be tried
  std::string error;            // for people: "SERVFAIL for MX of example.com"
  // If kOk: the first lookup of a host's addresses that failed for now or has not come back; empty:
  // none, so that `targets` are all there are.
  std::string missing;
  absl::Duration ttl;  // for how long the answer may be kept
};

class Resolver {
 public:
  virtual ~Resolver() = default;

  // Asks these name servers from now on ("ip", "ip:port"; none: the system's) and forgets what
  // others said; lookups under way are finished by those that were asked. INVALID_ARGUMENT: nothing
  // changes.
  virtual absl::Status SetServers(const std::vector<std::string>& servers) = 0;

  // An answer that is still fresh; null if a lookup would have to be made. The hosts of one
  // preference, and the addresses of one host, are put in a new random order at each call; a host's
  // A addresses come before its AAAA addresses.
  virtual std::shared_ptr<const MxAnswer> Cached(absl::string_view domain) = 0;

  // The same for the addresses of one host, as ResolveHost has them.
  virtual std::shared_ptr<const MxAnswer> CachedHost(absl::string_view host) = 0;

  // The answer for a domain's mail, from the cache or from DNS; lookups for the same name that are
  // under way are joined. Never fails: a time-out is an outcome.
  virtual asio::awaitable<std::shared_ptr<const MxAnswer>> ResolveMail(std::string domain,
                                                                       absl::Duration timeout) = 0;

  // The addresses of one host, without MX (for routes and gateways). An IP address as text, with or
  // without brackets, is answered without DNS.
  virtual asio::awaitable<std::shared_ptr<const MxAnswer>> ResolveHost(std::string host,
                                                                       absl::Duration timeout) = 0;
};

}  // namespace postern::dns

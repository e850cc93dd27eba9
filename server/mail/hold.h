// Scope: which queues a control call is about. Hold: what keeps queues from delivering, and who
// wanted it so.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/mail/disposition.h"
#include "server/mail/row.h"

namespace postern::mail {

// A domain or a domain glob as those of mail are compared: in lower case, without a dot at the end
// ("*." stays as it is: no glob, and not every domain).
std::string NormalDomain(absl::string_view glob);

// "*" is every domain, "*.suffix" every subdomain of it (not the suffix itself), anything else one
// domain. Case does not matter.
bool DomainGlobMatches(absl::string_view glob, absl::string_view domain);

struct Scope {
  std::string domain;   // a domain glob, normal
  std::string binding;  // a name; empty: all

  bool Matches(const PairKey& pair) const;
  // Every pair that `other` may match is one of this scope too.
  bool Covers(const Scope& other) const;
  // There are pairs that both match.
  bool Overlaps(const Scope& other) const;
  // "*.example.net" or "*.example.net/pool-1".
  std::string ToString() const;

  friend auto operator<=>(const Scope&, const Scope&) = default;
};

struct Hold {
  enum class Kind : std::uint8_t {
    kSuspended = 1,  // by an operator: no delivery, and sessions end at their boundary
    kPolicy = 2,     // by a verdict: no new connection; the scope is one pair
  };

  Kind kind = Kind::kSuspended;
  Scope scope;
  std::string who;     // an identity, or the name of a provider
  std::string reason;  // at most 256 bytes
  absl::Time since = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();  // infinite: until it is lifted

  // Why the mail waits.
  RequeueReason requeue_reason() const {
    return kind == Kind::kSuspended ? RequeueReason::kSuspended : RequeueReason::kPolicyHold;
  }
};

// A verdict's hold lasts no longer than this, whatever it asks for.
inline constexpr absl::Duration kLongestPolicyHold = absl::Hours(1);

}  // namespace postern::mail

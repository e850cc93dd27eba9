// The rules by which DNS records become an ordered list of targets. Pure: no I/O, no clock, and the
// caller's random numbers.
//
//   MxPlan plan = PlanMail("example.com", *mx_records, now, random);
//   if (plan.answer) return *plan.answer;
//   ... look up A and AAAA of each of plan.hosts ...
//   return Assemble(plan, records, now, random);
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/dns/resolver.h"
#include "server/dns/wire.h"

namespace postern::dns {

// Bounds on what one domain can make us do; RFC 5321 §5.1 asks for at least two addresses.
inline constexpr int kMaxHosts = 32;
inline constexpr int kMaxAddressesPerHost = 16;
inline constexpr absl::Duration kLiteralTtl = absl::Hours(24);

struct MxHost {
  std::string name;
  int preference = 0;
};

struct MxPlan {
  std::string domain;
  std::optional<MxAnswer> answer;  // set if nothing has to be looked up; the rest is then empty
  std::vector<MxHost> hosts;       // in the order in which they are to be tried
  bool domain_itself = false;      // the only host is the domain: implicit MX, or ResolveHost
  absl::Time expires = absl::InfiniteFuture();  // of the MX records
};

// A and AAAA of one host; null where the answer has not come (in time).
struct HostRecords {
  std::shared_ptr<const RecordSet> a;
  std::shared_ptr<const RecordSet> aaaa;

  bool pending() const { return a == nullptr || aaaa == nullptr; }
  bool usable() const;  // has an address
};

// What to look up for a domain's mail, given its MX records: hosts by preference, at random within
// one; each host once, at its lowest preference; at most kMaxHosts. A "." beside other hosts is
// ignored, alone it is a null MX (RFC 7505 §3). No MX records at all: the domain itself (RFC 5321
// §5.1); never when there are some, however useless. `mx.expires` is taken over; the answer's TTL
// is the time from `now` until then.
MxPlan PlanMail(absl::string_view domain, const RecordSet& mx, absl::Time now,
                std::mt19937_64& random);

// The plan for one host without MX.
MxPlan PlanHost(absl::string_view host);

// The answer, from what is known of plan.hosts (`records` in the same order and number). Hosts
// without address, or whose lookup failed or has not come back, are skipped; the answer's `missing`
// tells of the latter. Each address appears once. Without any address: kTemporary if a lookup
// failed or is missing (another might have had one), kNoDomain if the domain itself does not exist,
// else kNoAddress.
MxAnswer Assemble(const MxPlan& plan, const std::vector<HostRecords>& records, absl::Time now,
                  std::mt19937_64& random);

// "[192.0.2.1]" and "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3); kNoDomain for anything else between
// brackets; empty for what has no brackets.
std::optional<MxAnswer> AnswerMailLiteral(absl::string_view domain);

// The same for a host: also without brackets, and IPv6 without its tag.
std::optional<MxAnswer> AnswerHostLiteral(absl::string_view host);

}  // namespace postern::dns

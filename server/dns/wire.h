// RecordSet and ParseAnswer: a DNS answer as bytes (RFC 1035 §4), read into what mail needs of it.
//
// c-ares 1.18 parses MX answers without their TTL, hence a parser of our own. The bytes come from
// the network: every length is checked, compression pointers only go backwards, nothing is trusted.
// Thread: any (no state).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <asio/ip/address.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace postern::dns {

enum class RecordType : std::uint16_t { kA = 1, kMx = 15, kAaaa = 28 };

absl::string_view RecordTypeName(RecordType type);  // "A", "MX", "AAAA"

struct MxRecord {
  int preference = 0;  // 0 to 65535, the lowest is tried first
  std::string host;    // lower case, without a final dot; empty is the root "." (RFC 7505)
};

enum class RecordStatus {
  kRecords,    // at least one record of the type that was asked for
  kNoData,     // the name exists, but has none of this type (RFC 2308 §2.2)
  kNoDomain,   // NXDOMAIN; for a CNAME, its end does not exist (RFC 2308 §2.1)
  kTemporary,  // no answer that could be used
};

// What one name has of one type. Exactly one of mx and addresses is filled if kRecords.
struct RecordSet {
  RecordStatus status = RecordStatus::kTemporary;
  std::vector<MxRecord> mx;
  std::vector<asio::ip::address> addresses;
  std::string error;   // if kTemporary, for people
  absl::Duration ttl;  // least of the records' and their CNAMEs', or of the SOA; see ParseAnswer
  absl::Time expires;  // on the cache's clock; set by whoever keeps it
};

// For how long an answer without records is kept if it carries no SOA.
inline constexpr absl::Duration kNegativeTtl = absl::Seconds(60);

// Reads the answer to a question of `type`. CNAME chains inside the answer are followed from the
// question's name, whatever their order. For kNoData and kNoDomain the TTL is the lesser of the
// SOA's own and its MINIMUM (RFC 2308 §5), else kNegativeTtl. Octets in a name other than letters,
// digits, '-' and '_' are given as "\ddd", so that names are safe to show.
// INVALID_ARGUMENT for bytes that are no answer to such a question; UNAVAILABLE naming the RCODE if
// it is neither NOERROR nor NXDOMAIN.
absl::StatusOr<RecordSet> ParseAnswer(absl::Span<const std::uint8_t> packet, RecordType type);

}  // namespace postern::dns

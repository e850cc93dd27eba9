// Address: a mailbox as it stands between the angle brackets of MAIL FROM and RCPT TO.
#pragma once

#include <string>
#include "absl/strings/string_view.h"

#include "absl/status/statusor.h"

namespace postern::mail {

struct Address {
  std::string local;   // as given; case is the receiver's business (RFC 5321 §2.4)
  std::string domain;  // lower case; an address literal keeps its brackets

  bool utf8() const;  // has non-ASCII octets: needs SMTPUTF8 (RFC 6531)
};

// Parses "local@domain" (RFC 5321 §4.1.2: dot-string or quoted-string; domain of LDH labels or an
// address literal; UTF-8 in the local part, RFC 6531). Bounds: local 64 octets, domain 255, label
// 63. INVALID_ARGUMENT saying what is wrong. Domains with non-ASCII labels are refused: they are
// given as A-labels. Control characters (below 0x20, 0x7F), and so CR and LF, are never accepted,
// also not behind a backslash or in an address literal.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// Checks one domain name or address literal and returns it in lower case, without a final dot.
absl::StatusOr<std::string> ParseDomain(absl::string_view text);

}  // namespace postern::mail

// Capabilities: what a server's reply to EHLO offers (RFC 5321 §4.1.1.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/mail/reply.h"

namespace postern::smtp {

struct Capabilities {
  bool esmtp = false;  // EHLO was accepted; everything else below is false or 0 after HELO

  bool pipelining = false;              // RFC 2920
  bool size = false;                    // RFC 1870
  std::uint64_t max_message_bytes = 0;  // of SIZE; 0: none stated
  bool eight_bit_mime = false;          // RFC 6152
  bool smtp_utf8 = false;               // RFC 6531
  bool chunking = false;                // RFC 3030
  bool binary_mime = false;             // RFC 3030
  bool dsn = false;                     // RFC 3461
  bool enhanced_status_codes = false;   // RFC 2034
  bool starttls = false;                // RFC 3207

  // LIMITS (RFC 9422 §4); 0: none stated.
  int mail_max = 0;         // transactions in one session
  int rcpt_max = 0;         // recipients in one transaction
  int rcpt_domain_max = 0;  // domains among the recipients of one transaction

  std::vector<std::string> auth_mechanisms;  // upper case, as listed (RFC 4954)
  std::vector<std::string> lines;            // as sent, without the first; at most kMaxLines

  // Lines beyond this many are not looked at.
  static constexpr std::size_t kMaxLines = 64;

  // How many recipients one transaction may have, if the configuration says `configured`.
  int RecipientLimit(int configured) const;
};

// Reads a positive reply to EHLO. Never fails: keywords and parameters that it does not know or
// that are malformed are passed over, as RFC 5321 §4.1.1.1 asks.
Capabilities ParseEhlo(const mail::Reply& reply);

}  // namespace postern::smtp

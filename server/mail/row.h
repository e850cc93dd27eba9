// Row: what one message still owes one (domain, binding) pair; Submission: a message as it came in.
//
// A message with recipients in several domains is one content and one row for each pair. A row is
// owned by its pair's scheduler thread; nothing else changes it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/base/ids.h"
#include "server/base/siphash.h"
#include "server/mail/disposition.h"
#include "server/mail/reply.h"

namespace postern::mail {

// The key of a queue. `domain` is lower case: the recipients' domain, or the gateway's name.
struct PairKey {
  std::string domain;
  std::string binding;

  friend auto operator<=>(const PairKey&, const PairKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PairKey& k) {
    return H::combine(std::move(h), k.domain, k.binding);
  }
};

struct Recipient {
  std::string address;
  Disposition disposition = Disposition::kQueued;
  // The last reply that concerned this recipient; null before the first. Shared by those who got
  // the same one.
  std::shared_ptr<const Reply> last_reply;
  absl::Time changed = absl::InfinitePast();  // when the disposition was recorded
  // The disposition is an outcome that is not recorded yet: the row's next record makes it one.
  bool unreported = false;
  // A transaction for it passed the final dot and its outcome was never known.
  bool in_doubt = false;
};

struct Row {
  base::Id message_id;
  std::uint16_t index = 0;      // of this row among the message's rows, from 0
  std::uint16_t row_count = 1;  // of the message
  std::shared_ptr<const PairKey> pair;
  std::string sender;  // "" is the null sender
  std::vector<Recipient> recipients;
  absl::Time created;
  absl::Time expires;
  absl::Time next_attempt;
  absl::Time last_attempt = absl::InfinitePast();  // end of the last transaction; past: none
  std::uint32_t attempts = 0;                      // delivery attempts that were charged to the row
  RequeueReason reason = RequeueReason::kNew;
  std::uint8_t priority = 0;  // higher goes first
  bool in_doubt = false;      // one of its recipients is
  bool eight_bit = false;     // content has octets above 127
  bool smtp_utf8 = false;     // an address or the message needs SMTPUTF8
  std::uint64_t content_bytes = 0;
  std::string tenant;
  std::string token;
  std::string submitter;  // identity that submitted it; "" is the local one

  // No recipient is left to be attempted.
  bool final() const;
  // Sets in_doubt by what the recipients say.
  void NoteDoubt();
  // These recipients are in doubt, by index; empty: all. Those that are final are not.
  void Doubt(const std::vector<std::size_t>& offered);
};

// A message to be stored: checked, and with its id, but not yet split into rows.
struct Submission {
  base::Id message_id;
  std::string sender;
  std::vector<std::string> recipients;
  std::string content;                                   // RFC 5322, any line ends
  std::string binding;                                   // "" is "default"
  absl::Duration expiration = absl::InfiniteDuration();  // infinite: as the options say
  std::uint8_t priority = 0;
  bool smtp_utf8 = false;
  std::string tenant;
  std::string token;      // "" is none
  base::Digest digest{};  // of all that was submitted but the token; set if there is a token
  std::string submitter;  // as in Row
};

}  // namespace postern::mail

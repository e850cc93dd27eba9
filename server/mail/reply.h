// Reply: what a receiver answered to one command (RFC 5321 §4.2, RFC 3463).
#pragma once

#include <cstddef>
#include <string>

#include "server/mail/disposition.h"

namespace postern::mail {

struct Reply {
  int code = 0;          // 200..599 from the peer; 0: there was no reply
  std::string enhanced;  // "5.1.1" or empty
  std::string text;      // without codes; lines joined by '\n'
  SmtpStage stage = SmtpStage::kNone;

  // By class digit only, as RFC 5321 §4.3.2 asks of clients: 251 and 252 are as good as 250.
  bool positive() const { return code >= 200 && code < 300; }
  bool intermediate() const { return code >= 300 && code < 400; }
  bool transient() const { return code >= 400 && code < 500; }
  bool permanent() const { return code >= 500 && code < 600; }

  // "451 4.7.1 try later", on one line.
  std::string ToString() const;
  friend bool operator==(const Reply&, const Reply&) = default;
};

// A reply that we make ourselves when there was none from a peer: text ends in " [internal]".
Reply InternalReply(int code, std::string enhanced, std::string text, SmtpStage stage);

// Of the text of a peer's reply no more is kept: it goes into the row, the log and the outcome of
// each recipient.
inline constexpr std::size_t kMaxKeptTextBytes = 1024;

// What is kept of a peer's reply to `stage`. A text that is too long is cut between two characters,
// at the end of a line if one is near, and then ends in " [...]". REQUIRES: its text is UTF-8.
Reply Kept(const Reply& reply, SmtpStage stage);

}  // namespace postern::mail

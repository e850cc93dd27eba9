// Reply: what a receiver answered to one command (RFC 5321 §4.2, RFC 3463).
#pragma once

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

}  // namespace postern::mail

// Transaction: what one MAIL command is to carry, and how that went (RFC 5321 §3.3).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/mail/disposition.h"
#include "server/mail/reply.h"

namespace postern::smtp {

using ReplyPtr = std::shared_ptr<const mail::Reply>;

// Addresses are without angle brackets.
struct Transaction {
  absl::string_view sender;  // "" is the null sender
  std::vector<absl::string_view> recipients;
  std::uint64_t content_bytes = 0;  // announced by SIZE=
  bool eight_bit = false;           // content has octets above 127
  bool smtp_utf8 = false;           // needed also when an address has non-ASCII octets
};

// How a transaction went. Replies are cut to what is kept of them; equal ones may be one object.
struct TransactionResult {
  // Replies to RCPT, by index. Null: there was none, or it meant nothing as MAIL was refused.
  std::vector<ReplyPtr> recipients;
  ReplyPtr mail;  // null: there was none
  ReplyPtr data;  // null: there was none, or no recipient was left for it to concern
  ReplyPtr body;  // the reply to the final dot; or one that came before it and ended the session

  // Where it ended: kBody also when all went well; kRset: RSET was refused, nothing was attempted.
  mail::SmtpStage stage = mail::SmtpStage::kNone;
  bool session_over = false;  // no other transaction can follow
  // The final dot was handed to the connection whole, and no valid reply to it came.
  bool in_doubt = false;
};

}  // namespace postern::smtp

// ReplyParser: bytes from an SMTP server -> mail::Reply, one at a time (RFC 5321 §4.2).
//
//   while (!bytes.empty()) {
//     absl::StatusOr<bool> complete = parser.Parse(&bytes);
//     if (!complete.ok()) return complete.status();  // the session cannot go on
//     if (*complete) Handle(parser.reply());
//   }
//
// Incremental: any split of the bytes gives the same replies. A peer can send anything: what comes
// out is bounded, is valid UTF-8 and has no control characters but the '\n' between lines.
// Thread: one at a time.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/mail/reply.h"

namespace postern::smtp {

class ReplyParser {
 public:
  // Of one line without its end, and of one reply with all its lines. That is what may come; what
  // is kept of it is much less, see mail::Kept.
  static constexpr std::size_t kMaxLineBytes = 4096;
  static constexpr std::size_t kMaxReplyBytes = 65536;

  // Takes bytes from the front of *bytes up to the end of one reply, or all of them. True: reply()
  // is complete. Lines end in CRLF or in a bare LF.
  // INVALID_ARGUMENT: not a reply, a code outside 200..599, or codes that differ between the lines
  // of one reply. RESOURCE_EXHAUSTED: a line or a reply is too long. The parser is of no use after
  // an error until Reset().
  absl::StatusOr<bool> Parse(absl::string_view* bytes);

  // The last complete reply; valid until the next call of Parse(). Its stage is kNone.
  // An enhanced status code (RFC 2034) is taken off every line when its class agrees with the
  // reply's; a line that carries another code than the first one keeps it in the text.
  const mail::Reply& reply() const { return reply_; }

  // True in the midst of a reply: what came so far is not a whole number of replies.
  bool partial() const { return reply_bytes_ != 0; }

  // Forgets everything.
  void Reset();

 private:
  // Takes one line without its LF; true: it was the last of its reply.
  absl::StatusOr<bool> TakeLine(absl::string_view line);

  mail::Reply reply_;            // its strings are reused from reply to reply
  std::string partial_line_;     // the beginning of a line whose end has not come
  std::size_t reply_bytes_ = 0;  // of the reply in progress; 0: none is
  std::size_t reply_lines_ = 0;  // of the reply in progress
};

}  // namespace postern::smtp

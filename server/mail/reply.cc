#include "server/mail/reply.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace postern::mail {
namespace {

constexpr absl::string_view kCutMark = " [...]";

}  // namespace

std::string Reply::ToString() const {
  return absl::StrCat(code, enhanced.empty() ? "" : " ", enhanced, text.empty() ? "" : " ",
                      absl::StrReplaceAll(text, {{"\r", ""}, {"\n", " "}}));
}

Reply InternalReply(int code, std::string enhanced, std::string text, SmtpStage stage) {
  return Reply{code, std::move(enhanced), absl::StrCat(text, " [internal]"), stage};
}

Reply Kept(const Reply& reply, SmtpStage stage) {
  const absl::string_view text = reply.text;
  if (text.size() <= kMaxKeptTextBytes) return Reply{reply.code, reply.enhanced, reply.text, stage};
  std::size_t end = kMaxKeptTextBytes - kCutMark.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  // A whole line reads better than half of one, unless that leaves little of the text.
  const std::size_t line_end = text.rfind('\n', end);
  if (line_end != absl::string_view::npos && line_end >= kMaxKeptTextBytes / 2) end = line_end;
  return Reply{reply.code, reply.enhanced, absl::StrCat(text.substr(0, end), kCutMark), stage};
}

}  // namespace postern::mail

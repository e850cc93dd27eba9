#include "server/mail/reply.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace postern::mail {

std::string Reply::ToString() const {
  return absl::StrCat(code, enhanced.empty() ? "" : " ", enhanced, text.empty() ? "" : " ",
                      absl::StrReplaceAll(text, {{"\r", ""}, {"\n", " "}}));
}

Reply InternalReply(int code, std::string enhanced, std::string text, SmtpStage stage) {
  return Reply{code, std::move(enhanced), absl::StrCat(text, " [internal]"), stage};
}

}  // namespace postern::mail

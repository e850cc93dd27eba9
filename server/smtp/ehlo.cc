#include "server/smtp/ehlo.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace postern::smtp {
namespace {

// RFC 9422 §4: "NAME=VALUE", VALUE of 1 to 6 digits, not zero.
void ParseLimits(const std::vector<absl::string_view>& words, Capabilities* out) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::vector<absl::string_view> pair = absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    int value = 0;
    if (pair.size() != 2 || pair[1].empty() || pair[1].size() > 6 ||
        !std::all_of(pair[1].begin(), pair[1].end(), absl::ascii_isdigit) ||
        !absl::SimpleAtoi(pair[1], &value) || value == 0) {
      continue;
    }
    if (absl::EqualsIgnoreCase(pair[0], "MAILMAX")) out->mail_max = value;
    if (absl::EqualsIgnoreCase(pair[0], "RCPTMAX")) out->rcpt_max = value;
    if (absl::EqualsIgnoreCase(pair[0], "RCPTDOMAINMAX")) out->rcpt_domain_max = value;
  }
}

void ParseKeyword(absl::string_view line, Capabilities* out) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.empty()) return;
  const auto is = [&words](absl::string_view keyword) {
    return absl::EqualsIgnoreCase(words[0], keyword);
  };
  if (is("PIPELINING")) {
    out->pipelining = true;
  } else if (is("SIZE")) {
    out->size = true;
    // A number too large for 64 bits is as good as no limit.
    if (words.size() < 2 || !absl::SimpleAtoi(words[1], &out->max_message_bytes)) {
      out->max_message_bytes = 0;
    }
  } else if (is("8BITMIME")) {
    out->eight_bit_mime = true;
  } else if (is("SMTPUTF8")) {
    out->smtp_utf8 = true;
  } else if (is("CHUNKING")) {
    out->chunking = true;
  } else if (is("BINARYMIME")) {
    out->binary_mime = true;
  } else if (is("DSN")) {
    out->dsn = true;
  } else if (is("ENHANCEDSTATUSCODES")) {
    out->enhanced_status_codes = true;
  } else if (is("STARTTLS")) {
    out->starttls = true;
  } else if (is("LIMITS")) {
    ParseLimits(words, out);
  } else if (is("AUTH") || absl::StartsWithIgnoreCase(words[0], "AUTH=")) {
    // "AUTH=LOGIN PLAIN" is how servers from before RFC 2554 say it; some say both.
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (i == 0 && words[0].size() <= 5) continue;
      std::string mechanism = absl::AsciiStrToUpper(i == 0 ? words[0].substr(5) : words[i]);
      auto& known = out->auth_mechanisms;
      if (std::find(known.begin(), known.end(), mechanism) == known.end()) {
        known.push_back(std::move(mechanism));
      }
    }
  }
}

}  // namespace

int Capabilities::RecipientLimit(int configured) const {
  return rcpt_max == 0 ? configured : std::min(configured, rcpt_max);
}

Capabilities ParseEhlo(const mail::Reply& reply) {
  Capabilities out;
  out.esmtp = true;
  bool first = true;
  for (absl::string_view line : absl::StrSplit(reply.text, '\n')) {
    if (first) {  // the server's name and greeting
      first = false;
      continue;
    }
    if (out.lines.size() == Capabilities::kMaxLines) break;
    out.lines.emplace_back(line.data(), line.size());
    ParseKeyword(line, &out);
  }
  return out;
}

}  // namespace postern::smtp

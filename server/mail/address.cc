#include "server/mail/address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace postern::mail {
namespace {

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool IsAtomChar(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || absl::ascii_isalnum(u) ||
         absl::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != absl::string_view::npos;
}

absl::Status CheckDotString(absl::string_view local) {
  if (local.front() == '.' || local.back() == '.' || absl::StrContains(local, "..")) {
    return absl::InvalidArgumentError("the local part has an empty atom (misplaced dot)");
  }
  for (const char c : local) {
    if (c != '.' && !IsAtomChar(c)) {
      return absl::InvalidArgumentError("the local part has a character that needs quoting");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckQuotedString(absl::string_view local) {
  for (std::size_t i = 1; i + 1 < local.size(); ++i) {
    if (local[i] == '"') return absl::InvalidArgumentError("the quoted local part ends early");
    if (local[i] == '\\' && ++i + 1 >= local.size()) {
      return absl::InvalidArgumentError("the quoted local part ends in a backslash");
    }
  }
  return absl::OkStatus();
}

bool IsAddressLiteral(absl::string_view text) {
  std::string inner(text.substr(1, text.size() - 2));
  unsigned char buffer[sizeof(in6_addr)];
  if (absl::StartsWithIgnoreCase(inner, "IPv6:")) {
    return inet_pton(AF_INET6, inner.c_str() + 5, buffer) == 1;
  }
  return inet_pton(AF_INET, inner.c_str(), buffer) == 1;
}

absl::Status CheckLabel(absl::string_view label) {
  if (label.empty()) return absl::InvalidArgumentError("the domain has an empty label");
  if (label.size() > 63) {
    return absl::InvalidArgumentError("the domain has a label of more than 63 octets");
  }
  if (label.front() == '-' || label.back() == '-') {
    return absl::InvalidArgumentError("a label of the domain begins or ends with a hyphen");
  }
  for (const char c : label) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x80) {
      return absl::InvalidArgumentError("the domain is not ASCII; write it as A-labels (xn--...)");
    }
    if (!absl::ascii_isalnum(u) && c != '-' && c != '_') {
      return absl::InvalidArgumentError("the domain has a character that no host name has");
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool Address::utf8() const {
  return std::any_of(local.begin(), local.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

absl::StatusOr<std::string> ParseDomain(absl::string_view text) {
  if (HasControl(text)) return absl::InvalidArgumentError("the domain has a control character");
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    if (!IsAddressLiteral(text)) {
      return absl::InvalidArgumentError("the address literal is not an IP address");
    }
    return absl::AsciiStrToLower(text);
  }
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  if (text.empty()) return absl::InvalidArgumentError("the domain is empty");
  if (text.size() > 255) return absl::InvalidArgumentError("the domain has more than 255 octets");
  for (const absl::string_view label : absl::StrSplit(text, '.')) {
    if (absl::Status status = CheckLabel(label); !status.ok()) return status;
  }
  return absl::AsciiStrToLower(text);
}

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at == absl::string_view::npos) {
    return absl::InvalidArgumentError("an address is local-part@domain; there is no \"@\"");
  }
  const absl::string_view local = text.substr(0, at);
  // Anywhere, also behind a backslash: RFC 5321 §4.1.2 quotes printable characters only.
  if (HasControl(local)) {
    return absl::InvalidArgumentError("the local part has a control character");
  }
  if (local.empty()) return absl::InvalidArgumentError("the local part is empty");
  if (local.size() > 64) {
    return absl::InvalidArgumentError("the local part has more than 64 octets");
  }
  const bool quoted = local.size() >= 2 && local.front() == '"' && local.back() == '"';
  absl::Status status = quoted ? CheckQuotedString(local) : CheckDotString(local);
  if (!status.ok()) return status;
  absl::StatusOr<std::string> domain = ParseDomain(text.substr(at + 1));
  if (!domain.ok()) return domain.status();
  return Address{std::string(local), *std::move(domain)};
}

}  // namespace postern::mail

#include "server/mail/hold.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace postern::mail {

bool DomainGlobMatches(absl::string_view glob, absl::string_view domain) {
  if (glob == "*") return true;
  if (absl::StartsWith(glob, "*.")) return absl::EndsWithIgnoreCase(domain, glob.substr(1));
  return absl::EqualsIgnoreCase(glob, domain);
}

bool Scope::Matches(const PairKey& pair) const {
  return (binding.empty() || binding == pair.binding) && DomainGlobMatches(domain, pair.domain);
}

bool Scope::Covers(const Scope& other) const {
  if (!binding.empty() && binding != other.binding) return false;
  // A glob's text below "*" behaves like a domain: "*.a.example" ends in ".example".
  return domain == other.domain || DomainGlobMatches(domain, other.domain);
}

std::string Scope::ToString() const {
  return binding.empty() ? domain : absl::StrCat(domain, "/", binding);
}

}  // namespace postern::mail

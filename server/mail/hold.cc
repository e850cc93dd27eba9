#include "server/mail/hold.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace postern::mail {

std::string NormalDomain(absl::string_view glob) {
  return absl::AsciiStrToLower(glob == "*." ? glob : absl::StripSuffix(glob, "."));
}

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

bool Scope::Overlaps(const Scope& other) const {
  if (!binding.empty() && !other.binding.empty() && binding != other.binding) return false;
  const Scope here{domain, ""};
  const Scope there{other.domain, ""};
  return here.Covers(there) || there.Covers(here);
}

std::string Scope::ToString() const {
  return binding.empty() ? domain : absl::StrCat(domain, "/", binding);
}

}  // namespace postern::mail

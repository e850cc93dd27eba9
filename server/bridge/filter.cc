#include "server/bridge/filter.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace postern::bridge {
namespace {

absl::Status CheckEntry(absl::string_view field, std::size_t index, absl::string_view entry) {
  if (entry.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("filter.", field, "[", index, "]: empty"));
  }
  if (entry.size() > kMaxGlobBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("filter.", field, "[", index, "]: over ", kMaxGlobBytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status CheckCount(absl::string_view field, std::size_t count) {
  if (count <= kMaxGlobs) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("filter.", field, ": over ", kMaxGlobs));
}

}  // namespace

absl::StatusOr<Matcher> Matcher::Create(Filter filter) {
  if (absl::Status s = CheckCount("domains", filter.domains.size()); !s.ok()) return s;
  if (absl::Status s = CheckCount("bindings", filter.bindings.size()); !s.ok()) return s;
  Matcher matcher;
  matcher.every_domain_ = filter.domains.empty();
  for (std::size_t i = 0; i < filter.domains.size(); ++i) {
    std::string& glob = filter.domains[i];
    if (absl::Status s = CheckEntry("domains", i, glob); !s.ok()) return s;
    absl::AsciiStrToLower(&glob);
    if (glob == "*") {
      matcher.every_domain_ = true;
    } else if (absl::StartsWith(glob, "*.") && glob.size() > 2 &&
               glob.find('*', 1) == std::string::npos) {
      matcher.suffixes_.insert(glob.substr(1));
    } else if (glob.find('*') == std::string::npos) {
      matcher.exact_.insert(glob);
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "filter.domains[", i, "]: must be a domain, \"*.suffix\" or \"*\": \"", glob, "\""));
    }
  }
  for (std::size_t i = 0; i < filter.bindings.size(); ++i) {
    if (absl::Status s = CheckEntry("bindings", i, filter.bindings[i]); !s.ok()) return s;
    matcher.bindings_.insert(filter.bindings[i]);
  }
  matcher.filter_ = std::move(filter);
  return matcher;
}

bool Matcher::MatchesDomain(absl::string_view domain) const {
  if (every_domain_ || exact_.contains(domain)) return true;
  if (suffixes_.empty()) return false;
  for (std::size_t dot = domain.find('.'); dot != absl::string_view::npos;
       dot = domain.find('.', dot + 1)) {
    // ".suffix" with nothing before it is not a subdomain.
    if (dot > 0 && suffixes_.contains(domain.substr(dot))) return true;
  }
  return false;
}

bool Matcher::Matches(absl::string_view domain, absl::string_view binding) const {
  return (bindings_.empty() || bindings_.contains(binding)) && MatchesDomain(domain);
}

std::size_t Specificity(absl::string_view glob, absl::string_view domain) {
  if (glob == "*") return 1;
  if (absl::StartsWith(glob, "*.")) {
    const absl::string_view suffix = glob.substr(1);
    const bool matches = domain.size() > suffix.size() && absl::EndsWithIgnoreCase(domain, suffix);
    return matches ? suffix.size() + 1 : 0;
  }
  return absl::EqualsIgnoreCase(glob, domain) ? domain.size() + kMaxGlobBytes : 0;
}

}  // namespace postern::bridge

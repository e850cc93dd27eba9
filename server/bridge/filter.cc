#include "server/bridge/filter.h"

#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/mail/hold.h"

namespace postern::bridge {
namespace {

absl::Status CheckEntry(absl::string_view field, std::size_t index, absl::string_view entry) {
  if (entry.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("filter.", field, "[", index, "]: empty"));
  }
  return absl::OkStatus();
}

absl::Status CheckSizes(absl::string_view field, const std::vector<std::string>& entries) {
  if (entries.size() > kMaxGlobs) {
    return absl::ResourceExhaustedError(
        absl::StrCat("filter.", field, ": over ", kMaxGlobs, " entries"));
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].size() <= kMaxGlobBytes) continue;
    return absl::ResourceExhaustedError(
        absl::StrCat("filter.", field, "[", i, "]: over ", kMaxGlobBytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckLimits(const Filter& filter) {
  if (absl::Status s = CheckSizes("domains", filter.domains); !s.ok()) return s;
  return CheckSizes("bindings", filter.bindings);
}

absl::StatusOr<Matcher> Matcher::Create(Filter filter) {
  if (absl::Status s = CheckLimits(filter); !s.ok()) return s;
  Matcher matcher;
  matcher.every_domain_ = filter.domains.empty();
  for (std::size_t i = 0; i < filter.domains.size(); ++i) {
    std::string& glob = filter.domains[i];
    glob = mail::NormalDomain(glob);
    if (absl::Status s = CheckEntry("domains", i, glob); !s.ok()) return s;
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

std::size_t MatcherPool::Hash::operator()(const std::shared_ptr<const Matcher>& matcher) const {
  return absl::HashOf(matcher->filter().domains, matcher->filter().bindings);
}

bool MatcherPool::Same::operator()(const std::shared_ptr<const Matcher>& a,
                                   const std::shared_ptr<const Matcher>& b) const {
  return a->filter() == b->filter();
}

std::shared_ptr<const Matcher> MatcherPool::Share(std::shared_ptr<const Matcher> matcher) {
  base::MutexLock lock(mu_);
  return *known_.insert(std::move(matcher)).first;
}

void MatcherPool::Purge() {
  base::MutexLock lock(mu_);
  absl::erase_if(known_, [](const auto& matcher) { return matcher.use_count() == 1; });
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

// Filter: which (domain, binding) pairs a subscription is about. Matcher: a checked filter.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace postern::bridge {

inline constexpr std::size_t kMaxGlobs = 256;  // of domains, and of bindings
inline constexpr std::size_t kMaxGlobBytes = 1024;

struct Filter {
  std::vector<std::string> domains;   // exact, "*.suffix" or "*"; none: all
  std::vector<std::string> bindings;  // names; none: all
};

// Thread: immutable after Create, any.
class Matcher {
 public:
  // Matches everything.
  Matcher() = default;

  // INVALID_ARGUMENT names the entry ("filter.domains[2]: ..."): empty, or a '*' that is not a
  // whole first label. RESOURCE_EXHAUSTED: more than kMaxGlobs entries, or one over kMaxGlobBytes.
  static absl::StatusOr<Matcher> Create(Filter filter);

  // `domain` in lower case, as in mail::PairKey. "*.suffix" matches any subdomain, not the suffix
  // itself. Costs one hash per label of the domain, however many globs there are.
  bool Matches(absl::string_view domain, absl::string_view binding) const;

  // As given, domains in lower case.
  const Filter& filter() const { return filter_; }

 private:
  bool MatchesDomain(absl::string_view domain) const;

  Filter filter_;
  bool every_domain_ = true;
  absl::flat_hash_set<std::string> exact_;
  absl::flat_hash_set<std::string> suffixes_;  // ".suffix"
  absl::flat_hash_set<std::string> bindings_;
};

// How specifically one glob matches: 0 not at all, 1 for "*", longer suffixes more, exact most.
// For "the most specific rule that matches".
std::size_t Specificity(absl::string_view glob, absl::string_view domain);

}  // namespace postern::bridge

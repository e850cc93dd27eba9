// Filter: which (domain, binding) pairs a subscription is about. Matcher: a checked filter.
// MatcherPool: equal filters, kept once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/mutex.h"

namespace postern::bridge {

inline constexpr std::size_t kMaxGlobs = 256;  // of domains, and of bindings
inline constexpr std::size_t kMaxGlobBytes = 1024;

struct Filter {
  std::vector<std::string> domains;   // exact, "*.suffix" or "*"; none: all
  std::vector<std::string> bindings;  // names; none: all

  friend bool operator==(const Filter&, const Filter&) = default;
};

// RESOURCE_EXHAUSTED naming the limit: more than kMaxGlobs entries, or one over kMaxGlobBytes. For
// whoever works on a filter of a client's before a Matcher is made of it.
absl::Status CheckLimits(const Filter& filter);

// Thread: immutable after Create, any.
class Matcher {
 public:
  // Matches everything.
  Matcher() = default;

  // INVALID_ARGUMENT names the entry ("filter.domains[2]: ..."): empty, or a '*' that is not a
  // whole first label. RESOURCE_EXHAUSTED: as CheckLimits.
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

// What rules keep long after their stream has gone would otherwise be as large as the rights of
// whoever gave them, once for each call. Thread: any.
class MatcherPool {
 public:
  // The one that is known with the same filter; else `matcher`, known from now on.
  std::shared_ptr<const Matcher> Share(std::shared_ptr<const Matcher> matcher);
  // Forgets those that nobody else holds.
  void Purge();

 private:
  struct Hash {
    std::size_t operator()(const std::shared_ptr<const Matcher>& matcher) const;
  };
  struct Same {
    bool operator()(const std::shared_ptr<const Matcher>& a,
                    const std::shared_ptr<const Matcher>& b) const;
  };

  base::Mutex mu_;
  absl::flat_hash_set<std::shared_ptr<const Matcher>, Hash, Same> known_ ABSL_GUARDED_BY(mu_);
};

// How specifically one glob matches: 0 not at all, 1 for "*", longer suffixes more, exact most.
// For "the most specific rule that matches".
std::size_t Specificity(absl::string_view glob, absl::string_view domain);

}  // namespace postern::bridge

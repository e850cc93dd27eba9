// ScopeTable: what clients said about scopes, (domain glob, binding), ahead of any connection.
//
// A rule lives until its time is over or one of a higher revision for the same scope takes its
// place; it survives the stream that gave it, and, if whoever keeps it (TakeChanges, Restore) does,
// the process. Of several that concern a connection the most specific one holds: the domain's glob
// first, then a rule for the binding before one for all bindings.
//
// Thread: any; one lock, held for a few hash look-ups.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/bridge/filter.h"
#include "server/bridge/question.h"

namespace postern::bridge {

class Provider;

struct ScopeRule {
  ScopeTarget target;
  Decision decision = Decision::kShutdown;  // kAbstain: withdrawn; only its revision counts
  Then then;
  std::string reason;
  std::string by;  // who gave it
  // Of the stream that gave it, which all its rules share: they concern nothing else. Null: all.
  std::shared_ptr<const Matcher> within;
  absl::Time since, until;    // wall clock, to be kept and shown
  absl::Time arrived, ended;  // the same on the steady clock of this process

  // Does it hold now for a connection of the pair, which is in its scope, that was opened at
  // `opened`? A recycling rule concerns only connections that were open when it arrived.
  bool Concerns(const mail::PairKey& pair, absl::Time opened, absl::Time now) const;
};

class ScopeTable {
 public:
  static constexpr std::size_t kMostRules = 10'000;  // of a provider

  explicit ScopeTable(const base::Clock& clock) : clock_(clock) {}

  // Takes a rule whose `target` is valid; its times are set here, then it never changes. kStored,
  // kStale (the revision is not higher) or kLimit.
  VerdictStatus Put(const std::shared_ptr<Provider>& provider, std::shared_ptr<ScopeRule> rule);
  // One that an earlier process kept: `since` and `until` are what they were. Nothing if it is
  // over.
  void Restore(const std::shared_ptr<Provider>& provider, ScopeRule rule);

  // The rule that holds for a connection of the pair that was opened at `opened` (steady clock);
  // null: none.
  std::shared_ptr<const ScopeRule> Find(const Provider* provider, const mail::PairKey& pair,
                                        absl::Time opened) const;
  // The providers that have rules.
  std::vector<std::shared_ptr<Provider>> Providers() const;
  // How many of a provider's rules are in force.
  std::size_t CountOf(const Provider* provider) const;

  // The least age at which any of the rules ends a connection; infinite: none does by age. Takes no
  // lock.
  absl::Duration LeastAge() const {
    const std::int64_t ns = least_age_ns_.load(std::memory_order_relaxed);
    return ns == INT64_MAX ? absl::InfiniteDuration() : absl::Nanoseconds(ns);
  }

  // Forgets what is over, and the providers that have nothing else.
  void Expire();

  // Rules with their providers' names.
  using Kept = std::vector<std::pair<std::string, ScopeRule>>;
  // Expires; then calls `save` with all rules, if any came since it was last OK, and returns what
  // it returns.
  absl::Status Save(const std::function<absl::Status(const Kept& rules)>& save);

 private:
  VerdictStatus Add(const std::shared_ptr<Provider>& provider,
                    std::shared_ptr<const ScopeRule> rule);
  void ExpireLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // A rule comes or goes: keeps ages_.
  void CountAge(const ScopeRule& rule, bool there) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // By scope: glob and binding; binding "": all.
  using Rules =
      absl::flat_hash_map<std::pair<std::string, std::string>, std::shared_ptr<const ScopeRule>>;

  const base::Clock& clock_;
  std::atomic<bool> any_{false};  // false: the common case takes no lock
  mutable base::Mutex mu_;
  absl::flat_hash_map<const Provider*, Rules> rules_ ABSL_GUARDED_BY(mu_);
  // The keys of rules_, in the order in which they came.
  std::vector<std::shared_ptr<Provider>> providers_ ABSL_GUARDED_BY(mu_);
  absl::Time first_end_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();  // nothing is over before
  std::multiset<absl::Duration> ages_ ABSL_GUARDED_BY(mu_);  // after_age of those that have one
  std::atomic<std::int64_t> least_age_ns_{INT64_MAX};        // of ages_; the maximum: there is none
  bool changed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace postern::bridge

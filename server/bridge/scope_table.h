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
  std::string by;             // who gave it
  Filter within;              // of the stream that gave it: the rule concerns nothing else
  absl::Time since, until;    // wall clock, to be kept and shown
  absl::Time arrived, ended;  // the same on the steady clock of this process
};

class ScopeTable {
 public:
  static constexpr std::size_t kMostRules = 10'000;  // of a provider

  explicit ScopeTable(const base::Clock& clock) : clock_(clock) {}

  // Takes a rule whose `target` and `within` are valid; its times are set here. kStored, kStale
  // (the revision is not higher) or kLimit.
  VerdictStatus Put(Provider* provider, ScopeRule rule);
  // One that an earlier process kept: `since` and `until` are what they were. Nothing if it is
  // over.
  void Restore(Provider* provider, ScopeRule rule);

  // The rule that holds for a connection of the pair that was opened at `opened` (steady clock);
  // null: none. A recycling rule concerns only connections that were open when it arrived.
  std::shared_ptr<const ScopeRule> Find(const Provider* provider, const mail::PairKey& pair,
                                        absl::Time opened) const;
  // Every provider that ever had a rule.
  std::vector<Provider*> Providers() const;
  // How many of a provider's rules are in force.
  std::size_t CountOf(const Provider* provider) const;

  // Rules with their providers' names.
  using Kept = std::vector<std::pair<std::string, ScopeRule>>;
  // Calls `save` with all rules, if any changed since it was last OK; returns what it returns.
  absl::Status Save(const std::function<absl::Status(const Kept& rules)>& save);

 private:
  VerdictStatus Add(Provider* provider, ScopeRule rule);
  struct Entry {
    std::shared_ptr<const ScopeRule> rule;
    std::shared_ptr<const Matcher> within;
  };
  // By scope: glob and binding; binding "": all.
  using Rules = absl::flat_hash_map<std::pair<std::string, std::string>, Entry>;

  const base::Clock& clock_;
  std::atomic<bool> any_{false};  // false: the common case takes no lock
  mutable base::Mutex mu_;
  absl::flat_hash_map<const Provider*, Rules> rules_ ABSL_GUARDED_BY(mu_);
  std::vector<Provider*> providers_ ABSL_GUARDED_BY(mu_);  // the keys of rules_
  bool changed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace postern::bridge

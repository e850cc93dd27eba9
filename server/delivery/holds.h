// HoldTable: suspensions and policy holds in force. They survive a restart.
//
// A suspension is for a scope and so holds for pairs that appear later too; a policy hold is for
// one pair. Each change is written to the spool at once and is in force before it is on disk.
// Thread: any. A pair asks Find() only when generation() has changed or its hold is over.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/mail/hold.h"
#include "server/mail/options.h"
#include "server/spool/spool.h"

namespace postern::delivery {

class HoldTable {
 public:
  // Suspensions at a time; every new pair looks through them.
  static constexpr std::size_t kMaxSuspensions = 1000;

  // Both must outlive the table.
  HoldTable(spool::Spool& spool, const base::Clock& clock) : spool_(spool), clock_(clock) {}

  // Reads what the process before this one left. Once, before delivery begins.
  absl::Status Load();

  // Puts the hold in force; it takes the place of one of the same kind and scope.
  // RESOURCE_EXHAUSTED: kMaxSuspensions. spool.Latest() is then the ticket to await for it to
  // survive a restart.
  absl::Status Put(mail::Hold hold);

  // Ends every hold whose scope lies within `scope`; returns them. A wider suspension stays.
  std::vector<mail::Hold> Lift(const mail::Scope& scope);

  // What keeps the pair from delivering: a suspension by call (of several the one that lasts
  // longest), by the option suspend_delivery, or a policy hold. Nothing: none does.
  std::optional<mail::Hold> Find(const mail::PairKey& pair,
                                 const mail::DeliveryOptions& options) const;
  // All, suspensions first, each kind in order of scope.
  std::vector<mail::Hold> All() const;

  // Another number after each change.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  // Forgets what is over, but not more often than once a minute.
  void Prune(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Insert(mail::Hold hold) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  spool::Spool& spool_;
  const base::Clock& clock_;
  std::atomic<std::uint64_t> generation_{1};
  mutable base::Mutex mu_;
  std::map<mail::Scope, mail::Hold> suspensions_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<mail::PairKey, mail::Hold> policy_holds_ ABSL_GUARDED_BY(mu_);
  absl::Time next_prune_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace postern::delivery

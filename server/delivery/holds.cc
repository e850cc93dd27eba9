#include "server/delivery/holds.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/spool/hold_codec.h"

namespace postern::delivery {
namespace {

constexpr absl::Duration kPruneInterval = absl::Minutes(1);

mail::PairKey PairOf(const mail::Scope& scope) { return {scope.domain, scope.binding}; }

}  // namespace

absl::Status HoldTable::Load() {
  const absl::Time now = clock_.Now();
  std::vector<std::string> over;
  base::MutexLock lock(mu_);
  absl::Status status =
      spool_.ForEachNote(spool::kHoldPrefix, [&](const std::string& key, const std::string& value) {
        absl::StatusOr<mail::Hold> hold = spool::DecodeHold(value);
        if (!hold.ok()) {
          base::Log().error("spool: a hold cannot be read and is left where it is: {}",
                            hold.status().ToString());
        } else if (hold->until <= now) {
          over.push_back(key);
        } else {
          Insert(*std::move(hold));
        }
      });
  for (std::string& key : over) spool_.PutNote(std::move(key), "");
  const std::size_t count = suspensions_.size() + policy_holds_.size();
  if (count > 0) base::Log().info("{} suspensions and holds are in force", count);
  return status;
}

void HoldTable::Insert(mail::Hold hold) {
  if (hold.kind == mail::Hold::Kind::kPolicy) {
    mail::PairKey pair = PairOf(hold.scope);
    policy_holds_.insert_or_assign(std::move(pair), std::move(hold));
  } else {
    mail::Scope scope = hold.scope;
    suspensions_.insert_or_assign(std::move(scope), std::move(hold));
  }
}

absl::Status HoldTable::Put(mail::Hold hold) {
  base::MutexLock lock(mu_);
  Prune(clock_.Now());
  if (hold.kind == mail::Hold::Kind::kSuspended && suspensions_.size() >= kMaxSuspensions &&
      suspensions_.find(hold.scope) == suspensions_.end()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "scope: ", kMaxSuspensions, " suspensions are in force; resume some or use a wider scope"));
  }
  // Under the lock, so that the spool has the changes in the order in which they were made.
  spool_.PutNote(spool::HoldKey(hold), spool::EncodeHold(hold));
  Insert(std::move(hold));
  generation_.fetch_add(1, std::memory_order_acq_rel);
  return absl::OkStatus();
}

std::vector<mail::Hold> HoldTable::Lift(const mail::Scope& scope) {
  std::vector<mail::Hold> lifted;
  base::MutexLock lock(mu_);
  for (auto at = suspensions_.begin(); at != suspensions_.end();) {
    if (!scope.Covers(at->first)) {
      ++at;
      continue;
    }
    lifted.push_back(std::move(at->second));
    at = suspensions_.erase(at);
  }
  absl::erase_if(policy_holds_, [&](auto& entry) {
    if (!scope.Matches(entry.first)) return false;
    lifted.push_back(std::move(entry.second));
    return true;
  });
  for (const mail::Hold& hold : lifted) spool_.PutNote(spool::HoldKey(hold), "");
  if (!lifted.empty()) generation_.fetch_add(1, std::memory_order_acq_rel);
  return lifted;
}

void HoldTable::Prune(absl::Time now) {
  if (now < next_prune_) return;
  next_prune_ = now + kPruneInterval;
  const auto over = [&](const auto& entry) {
    if (entry.second.until > now) return false;
    spool_.PutNote(spool::HoldKey(entry.second), "");
    return true;
  };
  for (auto at = suspensions_.begin(); at != suspensions_.end();) {
    at = over(*at) ? suspensions_.erase(at) : std::next(at);
  }
  absl::erase_if(policy_holds_, over);
}

std::optional<mail::Hold> HoldTable::Find(const mail::PairKey& pair,
                                          const mail::DeliveryOptions& options) const {
  const absl::Time now = clock_.Now();
  base::MutexLock lock(mu_);
  const mail::Hold* longest = nullptr;
  for (const auto& [scope, hold] : suspensions_) {
    if (hold.until <= now || !scope.Matches(pair)) continue;
    if (longest == nullptr || hold.until > longest->until) longest = &hold;
  }
  if (longest != nullptr) return *longest;
  if (options.suspend_delivery) {
    mail::Hold hold;
    hold.scope = {pair.domain, pair.binding};
    hold.who = "configuration";
    hold.reason = "suspend_delivery";
    return hold;
  }
  const auto found = policy_holds_.find(pair);
  if (found == policy_holds_.end() || found->second.until <= now) return std::nullopt;
  return found->second;
}

std::vector<mail::Hold> HoldTable::All() const {
  const absl::Time now = clock_.Now();
  std::vector<mail::Hold> all;
  base::MutexLock lock(mu_);
  for (const auto& [scope, hold] : suspensions_) {
    if (hold.until > now) all.push_back(hold);
  }
  const std::size_t suspensions = all.size();
  for (const auto& [pair, hold] : policy_holds_) {
    if (hold.until > now) all.push_back(hold);
  }
  std::sort(all.begin() + static_cast<std::ptrdiff_t>(suspensions), all.end(),
            [](const mail::Hold& a, const mail::Hold& b) { return a.scope < b.scope; });
  return all;
}

}  // namespace postern::delivery

#include "server/delivery/local_faults.h"

#include <algorithm>
#include <utility>

namespace postern::delivery {
namespace {

using net::LocalFault;

constexpr absl::Duration kFirstPeriod = absl::Seconds(1);
constexpr unsigned kMostDoublings = 16;

}  // namespace

LocalFaults::Key LocalFaults::KeyOf(LocalFault fault, Side side) {
  switch (fault) {
    case LocalFault::kFamily:
      return {fault, -1, side.v6};
    case LocalFault::kSource:
      return {fault, side.binding_slot, side.v6};
    case LocalFault::kMachine:
    case LocalFault::kNone:
      break;
  }
  return {fault, side.binding_slot, false};
}

LocalFaults::Suspension LocalFaults::Note(LocalFault fault, Side side,
                                          std::shared_ptr<const mail::Reply> reply,
                                          absl::Duration longest, absl::Time now) {
  base::MutexLock lock(mu_);
  Fault& known = faults_[KeyOf(fault, side)];
  size_ = faults_.size();
  const bool began = known.periods == 0 || known.until <= now;
  if (began) {
    longest = std::max(longest, kFirstPeriod);
    // One that stayed away for long is a new one.
    if (known.periods > 0 && known.until + longest <= now) known.periods = 0;
    known.until =
        now + std::min(longest, kFirstPeriod * (1U << std::min(known.periods, kMostDoublings)));
    known.reply = std::move(reply);
    ++known.periods;
  }
  return {known.until, known.reply, began};
}

std::optional<LocalFaults::Suspension> LocalFaults::Find(Side side,
                                                         absl::FunctionRef<bool()> has_route,
                                                         absl::Time now) const {
  if (size_.load(std::memory_order_relaxed) == 0) return std::nullopt;
  std::optional<Suspension> latest;
  bool only_route = false;
  {
    base::MutexLock lock(mu_);
    for (const LocalFault fault :
         {LocalFault::kMachine, LocalFault::kSource, LocalFault::kFamily}) {
      const auto found = faults_.find(KeyOf(fault, side));
      if (found == faults_.end() || found->second.until <= now) continue;
      const bool family = fault == LocalFault::kFamily;
      if (latest.has_value() && (family || latest->until >= found->second.until)) continue;
      latest = Suspension{found->second.until, found->second.reply, false};
      only_route = family;
    }
  }
  if (only_route && has_route()) return std::nullopt;
  return latest;
}

void LocalFaults::NoteConnected(Side side) {
  if (size_.load(std::memory_order_relaxed) == 0) return;
  base::MutexLock lock(mu_);
  // The family's is about routes: that one address is reached says nothing of the others.
  faults_.erase(KeyOf(LocalFault::kMachine, side));
  faults_.erase(KeyOf(LocalFault::kSource, side));
  size_ = faults_.size();
}

}  // namespace postern::delivery

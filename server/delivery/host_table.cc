#include "server/delivery/host_table.h"

#include <algorithm>
#include <utility>

namespace postern::delivery {
namespace {

// How long a host is remembered when nobody asks for it any more.
constexpr absl::Duration kForgetAfter = absl::Minutes(10);
constexpr std::uint32_t kSweepEvery = 4096;  // acquisitions

// The first that still waits, or null.
std::shared_ptr<HostWaiter> PopFirst(std::deque<std::weak_ptr<HostWaiter>>& waiters) {
  while (!waiters.empty()) {
    std::shared_ptr<HostWaiter> first = waiters.front().lock();
    waiters.pop_front();
    if (first != nullptr && !first->woken()) return first;
  }
  return nullptr;
}

}  // namespace

// How a host comes back: it gets as many connections as it has just shown to take, and one more.
// Those that were open before it failed say nothing about that and are not counted.
struct Ramp {
  int most = 0;              // > 0: it recovers, so many at a time
  int open = 0;              // of those: connections that were begun in this period
  std::uint64_t period = 0;  // a new one begins with each back-off

  void Fail() {
    ++period;
    open = 0;
    most = 1;
  }
  bool full() const { return most > 0 && open >= most; }
  void Release(std::uint64_t begun_in) {
    if (begun_in == period) --open;
  }
};

// What one source knows of a host.
struct Health {
  int failures = 0;                              // in a row
  absl::Time skip_until = absl::InfinitePast();  // the host is in back-off before it
  Ramp ramp;
  absl::Time no_route_at = absl::InfinitePast();  // latest failure that is not about the source
  absl::Time success_at = absl::InfinitePast();
};

struct HostTable::Host {
  int open = 0;
  int kept = 0;                                     // free places that are kept for a turn
  absl::Time asked_at;                              // latest
  absl::flat_hash_map<std::string, Health> health;  // by source address
  absl::Time skip_all_until = absl::InfinitePast();
  Ramp ramp;  // of all sources together: it was skipped for all
  Line<Waiting> for_place;
  Line<HostWaiter> for_recovery;
  Line<HostWaiter> idle;  // connections that give way
  Demand demand;          // of those in for_place that wait still

  bool forgettable(absl::Time now) const {
    const bool awaited =
        std::any_of(for_recovery.entries.begin(), for_recovery.entries.end(), [](const auto& one) {
          const std::shared_ptr<HostWaiter> waiter = one.lock();
          return waiter != nullptr && !waiter->woken();
        });
    return open == 0 && kept == 0 && !awaited && asked_at + kForgetAfter < now &&
           skip_all_until < now &&
           std::all_of(health.begin(), health.end(),
                       [&](const auto& entry) { return entry.second.skip_until < now; });
  }
};

// One who waits. `waiter` never changes, the rest is guarded by the table's lock.
struct HostTable::Waiting {
  Waiting(const Limits& the_limits, std::shared_ptr<HostWaiter> the_waiter)
      : limits(the_limits), waiter(std::move(the_waiter)) {}

  Limits limits;
  const std::shared_ptr<HostWaiter> waiter;
  std::vector<std::shared_ptr<Host>> lines;  // hosts for whose places it waits
  bool in_server_line = false;
  bool left = false;           // waits no more
  std::shared_ptr<Host> host;  // that keeps a place for it
  bool of_server = false;      // the server keeps one
  std::atomic<bool> offered{false};
};

bool HostTable::Turn::offered() const { return waiting_->offered; }

HostTable::Permit::~Permit() { table_.Release(*this); }

void HostTable::Permit::Report(HostOutcome outcome, absl::Time now) {
  table_.Note(*host_, source_, outcome, limits_, now);
}

bool HostTable::Demand::TakeYield() {
  std::size_t going = yielding.load(std::memory_order_relaxed);
  while (going < waiting.load(std::memory_order_relaxed)) {
    if (yielding.compare_exchange_weak(going, going + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool HostTable::Permit::TakeYield() {
  for (Demand* demand : {&host_->demand, &table_.demand_}) {
    if (yields_to_ == nullptr && demand->TakeYield()) yields_to_ = demand;
  }
  return yields_to_ != nullptr;
}

void HostTable::Permit::OfferToYield(const std::shared_ptr<HostWaiter>& yield) {
  bool at_once = false;
  {
    base::MutexLock lock(table_.mu_);
    at_once = !table_.stopped_ && host_->demand.waiting + table_.demand_.waiting > 0;
    if (!at_once) {
      host_->idle.Add(yield);
      table_.idle_.Add(yield);
    }
  }
  if (at_once) yield->Wake();
}

HostTable::Answer HostTable::Acquire(absl::string_view source, absl::string_view host,
                                     const Limits& limits, absl::Time now, const Turn* turn) {
  Answer answer;
  answer.retry_at = now;
  base::MutexLock lock(mu_);
  if (++acquires_ % kSweepEvery == 0) Sweep(now);
  const bool kept_by_server = turn != nullptr && turn->waiting_->of_server;
  if (open_ + kept_ - (kept_by_server ? 1 : 0) >= limits.server) {
    answer.grant = Grant::kServerFull;
    return answer;
  }
  std::shared_ptr<Host>& entry = hosts_[host];
  if (entry == nullptr) entry = std::make_shared<Host>();
  entry->asked_at = now;
  Health& health = entry->health[source];
  const absl::Time skip = std::max(health.skip_until, entry->skip_all_until);
  if (skip > now) {
    answer.grant = Grant::kBackedOff;
    answer.retry_at = skip;
    return answer;
  }
  // While it recovers, what is under way decides: who waits is told.
  if (health.ramp.full() || entry->ramp.full()) {
    answer.grant = Grant::kBackedOff;
    answer.retry_at = now + limits.retry;
    return answer;
  }
  const bool kept_by_host = turn != nullptr && turn->waiting_->host == entry;
  if (entry->open + entry->kept - (kept_by_host ? 1 : 0) >= limits.per_host) {
    answer.grant = Grant::kHostFull;
    return answer;
  }
  ++entry->open;
  ++health.ramp.open;
  ++entry->ramp.open;
  ++open_;
  answer.permit.reset(new Permit(*this, entry, std::string(source), limits));
  answer.permit->source_period_ = health.ramp.period;
  answer.permit->host_period_ = entry->ramp.period;
  return answer;
}

bool HostTable::HasRoom(const Host& host, const Limits& limits) const {
  return host.open + host.kept < limits.per_host;
}

bool HostTable::HasRoom(const Limits& limits) const { return open_ + kept_ < limits.server; }

void HostTable::Keep(Waiting& waiting, std::shared_ptr<Host> host) {
  waiting.host = std::move(host);
  waiting.of_server = waiting.host == nullptr;
  waiting.offered = true;
  LeaveLines(waiting);
}

void HostTable::LeaveLines(Waiting& waiting) {
  for (const std::shared_ptr<Host>& host : waiting.lines) --host->demand.waiting;
  waiting.lines.clear();
  if (waiting.in_server_line) --demand_.waiting;
  waiting.in_server_line = false;
}

std::shared_ptr<HostWaiter> HostTable::Offer(const std::shared_ptr<Host>& host) {
  std::shared_ptr<HostWaiter> wake;
  auto& line = host->for_place.entries;
  for (auto at = line.begin(); at != line.end() && wake == nullptr;) {
    const std::shared_ptr<Waiting> first = at->lock();
    const bool waits = first != nullptr && !first->offered && !first->left;
    // One with a lower limit than others stays until there is room for it too.
    if (waits && !HasRoom(*host, first->limits)) {
      ++at;
      continue;
    }
    at = line.erase(at);
    if (!waits) continue;
    ++host->kept;
    Keep(*first, host);
    wake = first->waiter;
  }
  return wake;
}

std::shared_ptr<HostWaiter> HostTable::OfferOfServer() {
  auto& line = server_line_.entries;
  while (!line.empty()) {
    const std::shared_ptr<Waiting> first = line.front().lock();
    const bool waits = first != nullptr && !first->offered && !first->left;
    if (waits && !HasRoom(first->limits)) return nullptr;
    line.pop_front();
    if (!waits) continue;
    ++kept_;
    Keep(*first, nullptr);
    return first->waiter;
  }
  return nullptr;
}

void HostTable::Release(const Permit& permit) {
  const std::shared_ptr<Host>& host = permit.host_;
  std::shared_ptr<HostWaiter> next;
  std::shared_ptr<HostWaiter> next_of_server;
  {
    base::MutexLock lock(mu_);
    if (permit.yields_to_ != nullptr) --permit.yields_to_->yielding;
    --open_;
    --host->open;
    host->ramp.Release(permit.host_period_);
    host->health[permit.source_].ramp.Release(permit.source_period_);
    if (!stopped_) {
      next = Offer(host);
      next_of_server = OfferOfServer();
    }
  }
  if (next != nullptr) next->Wake();
  if (next_of_server != nullptr) next_of_server->Wake();
}

void HostTable::Leave(const std::shared_ptr<Waiting>& waiting) {
  std::shared_ptr<HostWaiter> next;
  {
    base::MutexLock lock(mu_);
    waiting->left = true;
    LeaveLines(*waiting);
    if (waiting->host != nullptr) {
      --waiting->host->kept;
      if (!stopped_) next = Offer(waiting->host);
    } else if (waiting->of_server) {
      --kept_;
      if (!stopped_) next = OfferOfServer();
    }
  }
  if (next != nullptr) next->Wake();
}

void HostTable::Renew(Waiting& waiting, const Limits& limits) {
  std::vector<std::shared_ptr<HostWaiter>> wakes;
  {
    base::MutexLock lock(mu_);
    if (stopped_ || waiting.limits == limits) return;
    waiting.limits = limits;
    // Only where it has room now is there something to offer: a reload that changes nothing for it
    // does not walk the line, once for each who stands there. Those behind it at the server may
    // have had room before, and got none.
    const std::vector<std::shared_ptr<Host>> lines = waiting.lines;
    for (const std::shared_ptr<Host>& host : lines) {
      while (HasRoom(*host, limits)) {
        auto next = Offer(host);
        if (next == nullptr) break;
        wakes.push_back(std::move(next));
      }
    }
    if (waiting.in_server_line) {
      while (auto next = OfferOfServer()) wakes.push_back(std::move(next));
    }
  }
  for (const auto& next : wakes) next->Wake();
}

void HostTable::Note(Host& host, const std::string& source, HostOutcome outcome,
                     const Limits& limits, absl::Time now) {
  std::deque<std::weak_ptr<HostWaiter>> wakes;
  {
    base::MutexLock lock(mu_);
    Health& health = host.health[source];
    switch (outcome) {
      case HostOutcome::kUnknown:
        return;
      case HostOutcome::kReached: {
        // It is no news where nothing was wrong: who waits for another source is not woken by it.
        const bool news = health.failures > 0 || health.skip_until > now ||
                          host.skip_all_until > now || health.ramp.most > 0 || host.ramp.most > 0;
        health.success_at = now;
        health.failures = 0;
        health.skip_until = host.skip_all_until = absl::InfinitePast();
        for (Ramp* ramp : {&health.ramp, &host.ramp}) {
          if (ramp->most > 0 && ++ramp->most > limits.per_host) ramp->most = 0;
        }
        // What was put off for this host becomes due.
        if (news && !stopped_) wakes.swap(host.for_recovery.entries);
        break;
      }
      case HostOutcome::kNoRoute: {
        health.no_route_at = now;
        const bool another_failed =
            std::any_of(host.health.begin(), host.health.end(), [&](const auto& entry) {
              return &entry.second != &health && now - entry.second.no_route_at < kAllSourcesWindow;
            });
        const bool some_succeeded = std::any_of(
            host.health.begin(), host.health.end(),
            [&](const auto& entry) { return now - entry.second.success_at < kAllSourcesWindow; });
        if (another_failed && !some_succeeded) {
          host.skip_all_until = now + limits.retry;
          host.ramp.Fail();
        }
        [[fallthrough]];
      }
      case HostOutcome::kRefused:
        if (++health.failures >= kFailures) {
          health.skip_until = now + limits.retry;
          health.ramp.Fail();
        }
        return;
    }
  }
  for (const std::weak_ptr<HostWaiter>& waiter : wakes) {
    if (const std::shared_ptr<HostWaiter> there = waiter.lock()) there->Wake();
  }
}

std::unique_ptr<HostTable::Turn> HostTable::Wait(Grant refused,
                                                 const std::vector<std::string>& hosts,
                                                 const Limits& limits,
                                                 std::shared_ptr<HostWaiter> waiter) {
  auto waiting = std::make_shared<Waiting>(limits, std::move(waiter));
  bool at_once = false;
  std::vector<std::shared_ptr<HostWaiter>> yields;
  {
    base::MutexLock lock(mu_);
    if (refused == Grant::kServerFull) {
      at_once = HasRoom(limits);
      if (at_once) {
        ++kept_;
        Keep(*waiting, nullptr);
      } else {
        waiting->in_server_line = true;
        ++demand_.waiting;
        server_line_.Add(waiting);
        if (auto idle = PopFirst(idle_.entries)) yields.push_back(std::move(idle));
      }
    }
    for (const std::string& name : hosts) {
      const auto found = hosts_.find(name);
      if (found == hosts_.end()) {
        at_once = at_once || refused == Grant::kHostFull;
      } else if (refused == Grant::kBackedOff) {
        found->second->for_recovery.Add(waiting->waiter);
      } else if (refused == Grant::kHostFull && !at_once) {
        Host& host = *found->second;
        at_once = HasRoom(host, limits);
        if (at_once) {
          ++host.kept;
          Keep(*waiting, found->second);
          continue;
        }
        host.for_place.Add(waiting);
        ++host.demand.waiting;
        waiting->lines.push_back(found->second);
        if (auto idle = PopFirst(host.idle.entries)) yields.push_back(std::move(idle));
      }
    }
    at_once = at_once && !stopped_;
    if (stopped_) yields.clear();
  }
  if (at_once) waiting->waiter->Wake();
  for (const auto& yield : yields) yield->Wake();
  return std::unique_ptr<Turn>(new Turn(*this, std::move(waiting)));
}

void HostTable::Stop() {
  base::MutexLock lock(mu_);
  stopped_ = true;
}

std::uint64_t HostTable::open() const {
  base::MutexLock lock(mu_);
  return static_cast<std::uint64_t>(open_);
}

std::uint64_t HostTable::backed_off(absl::Time now) const {
  base::MutexLock lock(mu_);
  return static_cast<std::uint64_t>(
      std::count_if(hosts_.begin(), hosts_.end(), [&](const auto& entry) {
        return std::any_of(
            entry.second->health.begin(), entry.second->health.end(), [&](const auto& health) {
              return std::max(health.second.skip_until, entry.second->skip_all_until) > now;
            });
      }));
}

void HostTable::Sweep(absl::Time now) {
  absl::erase_if(hosts_, [&](const auto& entry) { return entry.second->forgettable(now); });
}

}  // namespace postern::delivery

// HostTable: what is known of the hosts that mail is delivered to, for all threads.
//
// A host is a remote address with its port. Domains that share it share its limits and its health;
// health is kept for each (source address, host), so that a blocklisted source does not stop the
// others. Asked when a connection is opened and told when it ends: one lock, never per message.
// Pure but for the lock: takes `now` (steady). Thread: any, for all of it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace postern::delivery {

// What a connection attempt says about a host.
enum class HostOutcome : unsigned char {
  kReached,  // the greeting and EHLO were accepted
  kRefused,  // it answered and said no (4xx, 5xx, TLS): about this source only
  kNoRoute,  // refused, unreachable or timed out: from two sources, it is about the host
  kUnknown,  // a fault of ours, or ended before anything was learnt
};

// Called once, on any thread, outside the table's lock: only hand over. Whoever drops its last
// reference is not called any more.
class HostWaiter {
 public:
  explicit HostWaiter(std::function<void()> wake) : wake_(std::move(wake)) {}
  void Wake() {
    if (!woken_.exchange(true)) wake_();
  }
  bool woken() const { return woken_; }

 private:
  const std::function<void()> wake_;
  std::atomic<bool> woken_{false};
};

class HostTable {
  struct Host;
  struct Waiting;
  // Those who wait for places and those who go for them: read without the lock at every
  // transaction boundary.
  struct Demand {
    std::atomic<std::size_t> waiting{0};
    std::atomic<std::size_t> yielding{0};

    // True for as many as wait.
    bool TakeYield();
  };

 public:
  struct Limits {
    int per_host = 32;     // max_connections_per_host of the pair that asks
    int server = 20000;    // server_max_outbound_connections
    absl::Duration retry;  // host_failure_retry

    bool operator==(const Limits&) const = default;
  };

  enum class Grant : unsigned char { kGranted, kBackedOff, kHostFull, kServerFull };

  // A place among the host's connections; given back when it goes.
  class Permit {
   public:
    Permit(const Permit&) = delete;
    Permit& operator=(const Permit&) = delete;
    ~Permit();

    // What became of the attempt; the last word counts once. Success ends the host's back-off.
    void Report(HostOutcome outcome, absl::Time now);
    // Others wait for a place at this host, or of the server, and one that has had its share
    // should go: true for no more connections than there are others. Who is told so goes.
    bool TakeYield();
    // An idle connection gives way at once: `yield` is woken when someone waits (maybe before this
    // returns). Ends with the reference.
    void OfferToYield(const std::shared_ptr<HostWaiter>& yield);

   private:
    friend class HostTable;
    Permit(HostTable& table, std::shared_ptr<Host> host, std::string source, const Limits& limits)
        : table_(table), host_(std::move(host)), source_(std::move(source)), limits_(limits) {}

    HostTable& table_;
    const std::shared_ptr<Host> host_;
    const std::string source_;
    const Limits limits_;
    std::uint64_t source_period_ = 0;  // those of the host's ramps that it counts in
    std::uint64_t host_period_ = 0;
    Demand* yields_to_ = nullptr;
  };

  // A stand in the line, as Wait() gives it; with it ends the wait. Whoever was woken has a place
  // kept for it as long as it has its turn: it takes the place by Acquire, or lets go of the turn,
  // and the next who waits gets the place.
  class Turn {
   public:
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { table_.Leave(waiting_); }
    // A place is kept.
    bool offered() const;
    // Waits by other limits from now on, in the same place of the line.
    void SetLimits(const Limits& limits) { table_.Renew(*waiting_, limits); }

   private:
    friend class HostTable;
    Turn(HostTable& table, std::shared_ptr<Waiting> waiting)
        : table_(table), waiting_(std::move(waiting)) {}

    HostTable& table_;
    const std::shared_ptr<Waiting> waiting_;
  };

  struct Answer {
    Grant grant = Grant::kGranted;
    absl::Time retry_at;             // kBackedOff: when it is worth asking again
    std::unique_ptr<Permit> permit;  // kGranted
  };

  // May `source` ("": the system's choice) open one more connection to `host` ("192.0.2.1:25")?
  // The place that is kept for `turn` is free for it and for nobody else.
  Answer Acquire(absl::string_view source, absl::string_view host, const Limits& limits,
                 absl::Time now, const Turn* turn = nullptr);

  // `waiter` is woken when what was refused may be granted (maybe before this returns): kHostFull:
  // one of the hosts keeps a place for it, first come, first served; kServerFull: the server does;
  // kBackedOff: one of the hosts was reached again (all who wait, at once; nothing is kept).
  std::unique_ptr<Turn> Wait(Grant refused, const std::vector<std::string>& hosts,
                             const Limits& limits, std::shared_ptr<HostWaiter> waiter);

  // Nobody is woken any more: their threads are about to go.
  void Stop();

  // Connections that are open or being opened.
  std::uint64_t open() const;
  // Hosts that are skipped by some source at this moment.
  std::uint64_t backed_off(absl::Time now) const;

  // Failures in a row after which a host is skipped.
  static constexpr int kFailures = 3;
  // Two sources that fail within it, with no success in it, speak for all.
  static constexpr absl::Duration kAllSourcesWindow = absl::Seconds(60);

 private:
  // In the order they came. Those that are gone leave it when it has doubled since: no one who
  // goes or comes looks at all the others.
  template <typename T>
  struct Line {
    std::deque<std::weak_ptr<T>> entries;
    std::size_t compact_at = 16;

    void Add(const std::shared_ptr<T>& one) {
      if (entries.size() >= compact_at) {
        std::erase_if(entries, [](const auto& other) { return other.expired(); });
        compact_at = std::max<std::size_t>(16, 2 * entries.size());
      }
      entries.push_back(one);
    }
  };

  void Release(const Permit& permit);
  void Leave(const std::shared_ptr<Waiting>& waiting);
  void Renew(Waiting& waiting, const Limits& limits);
  bool HasRoom(const Host& host, const Limits& limits) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRoom(const Limits& limits) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Keeps a place for the first in line who can use one, and says whom to wake; null: nobody.
  std::shared_ptr<HostWaiter> Offer(const std::shared_ptr<Host>& host)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::shared_ptr<HostWaiter> OfferOfServer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Keep(Waiting& waiting, std::shared_ptr<Host> host);
  // It waits for no place any more; its entries stay until their lines come to them.
  void LeaveLines(Waiting& waiting);
  void Note(Host& host, const std::string& source, HostOutcome outcome, const Limits& limits,
            absl::Time now);
  void Sweep(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable base::Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<Host>> hosts_ ABSL_GUARDED_BY(mu_);
  Line<Waiting> server_line_ ABSL_GUARDED_BY(mu_);
  Line<HostWaiter> idle_ ABSL_GUARDED_BY(mu_);  // connections that give way, of all hosts
  Demand demand_;                               // for places of the server
  int open_ ABSL_GUARDED_BY(mu_) = 0;
  int kept_ ABSL_GUARDED_BY(mu_) = 0;  // free places of the server that are kept for a turn
  std::uint32_t acquires_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace postern::delivery

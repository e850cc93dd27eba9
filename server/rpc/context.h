// ServiceContext: what the services of one server share. Stopper: how a server's end reaches them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/base/mutex.h"
#include "server/bridge/bridge.h"
#include "server/config/live_config.h"
#include "server/delivery/control.h"
#include "server/delivery/operations.h"
#include "server/mail/binding.h"
#include "server/rpc/signal.h"
#include "server/rpc/worker.h"
#include "server/spool/outcome.h"

namespace postern::rpc {

// One registration in one native chain, for ListProviders.
struct ChainProvider {
  std::string hook;  // "smtp_should_session_shutdown"
  std::string name;  // empty: the hook has no provider
  bool bridge = false;
  std::uint64_t calls = 0;
  std::uint64_t non_zero = 0;
  absl::Duration total, slowest;
};

// What the services are thin over. All must outlive the server.
struct Dependencies {
  delivery::Intake& intake;
  delivery::Control& control;
  delivery::MessageSource& messages;
  delivery::Operations& operations;
  spool::OutcomeSource& outcomes;
  bridge::Bridge& bridge;
  const mail::BindingTable& bindings;
  base::Registry& metrics;
  const base::Clock& clock;
  // Every hook with its providers, in the order in which they run. Thread: any.
  std::function<std::vector<ChainProvider>()> chains;
  // For GetConfig and ApplyConfig; null: they are not served.
  config::LiveConfig* config = nullptr;
};

struct Limits {
  // Calls of one connection at a time; a client of gRPC keeps those beyond until others have ended.
  // Must be well above what is refused by name (policy.max_streams), which a client that was left
  // waiting would never hear of.
  int calls_per_connection = 1024;
  // Of submissions that are not stored yet, from all calls.
  std::int64_t inflight_bytes = std::int64_t{256} << 20;
  // Of one SubmitStream: submissions whose result is not written, and bytes that are not stored.
  std::size_t stream_messages = 1024;
  std::int64_t stream_bytes = std::int64_t{64} << 20;
  // Of all Outcomes streams; of one frame of outcomes (a frame has at least one).
  std::size_t outcome_streams = 64;
  std::size_t outcome_frame_outcomes = 256;
  std::size_t outcome_frame_bytes = std::size_t{256} << 10;
  std::size_t decide_frame_bytes = std::size_t{256} << 10;
  absl::Duration attach = absl::Seconds(5);
  // How long a client that did wrong may leave its last answer unread before the call is cut.
  absl::Duration failure_grace = absl::Seconds(1);
  absl::Duration heartbeat = absl::Seconds(5);
  // How long events may wait for others when a frame of events has just been written.
  absl::Duration linger = absl::Milliseconds(2);
  absl::Duration drain_budget = absl::Seconds(8);
  absl::Duration drain_progress = absl::Milliseconds(100);
};

// The streams that must look up when the server ends, or when other rights are in force. Thread:
// the queue's.
class Stopper {
 public:
  class Listener {
   public:
    // `on_rights`: what the stream does about other rights at once, whatever it is waiting for;
    // must not end it. `signal` is set in any case.
    Listener(Stopper& stopper, Signal& signal, std::function<void()> on_rights = nullptr)
        : stopper_(stopper), signal_(signal), on_rights_(std::move(on_rights)) {
      stopper_.listeners_.insert(this);
    }
    ~Listener() { stopper_.listeners_.erase(this); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    friend class Stopper;
    Stopper& stopper_;
    Signal& signal_;
    const std::function<void()> on_rights_;
  };

  bool stopping() const { return stopping_; }
  void Stop() {
    stopping_ = true;
    for (Listener* listener : listeners_) listener->signal_.Set();
  }
  // See MethodGuard::Renew.
  void RightsReplaced() {
    for (Listener* listener : listeners_) {
      if (listener->on_rights_) listener->on_rights_();
      listener->signal_.Set();
    }
  }

 private:
  bool stopping_ = false;
  std::set<Listener*> listeners_;
};

// Bytes that all submissions together may hold. Thread: any.
class ByteBudget {
 public:
  explicit ByteBudget(std::int64_t most) : most_(most) {}
  bool Take(std::int64_t n) {
    if (used_.fetch_add(n, std::memory_order_relaxed) + n <= most_) return true;
    Give(n);
    return false;
  }
  void Give(std::int64_t n) { used_.fetch_sub(n, std::memory_order_relaxed); }
  std::int64_t most() const { return most_; }
  std::int64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::int64_t most_;
  std::atomic<std::int64_t> used_{0};
};

// A drain that has begun, for progress and health. Thread: any.
class DrainState {
 public:
  // The first call counts; later ones can only shorten it. `now`: steady. Returns the deadline.
  absl::Time Begin(absl::Time now, absl::Duration budget) {
    base::MutexLock lock(mu_);
    if (began_ == absl::InfiniteFuture()) began_ = now;
    deadline_ = std::min(deadline_, now + budget);
    return deadline_;
  }
  absl::Time began() const {
    base::MutexLock lock(mu_);
    return began_;
  }
  absl::Time deadline() const {
    base::MutexLock lock(mu_);
    return deadline_;
  }

 private:
  mutable base::Mutex mu_;
  absl::Time began_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  absl::Time deadline_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
};

class Access;

struct ServiceContext {
  Access& access;
  const Dependencies& deps;
  const Limits& limits;
  Worker& worker;
  // Tells bridge and health that the service drains, once. Thread: any.
  std::function<void(absl::Duration budget)> note_draining;
  DrainState& drain;
};

}  // namespace postern::rpc

// HookPoint: where a session meets the hook chains. Awaits what must be awaited, then calls.
//
// The C call cannot wait, so the session does: AskShouldSessionShutdown suspends the calling
// coroutine (its thread goes on with other sessions) until the VerdictSource holds an answer or the
// deadline has passed; then the chain is called once, as a whole. Delivery sees only this class.
// Thread: every call on the scheduler thread that owns the pair.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/hooks/observer.h"
#include "server/hooks/records.h"

namespace postern::hooks {

// The bridge, as a hook point sees it: one question at a time for each connection.
class VerdictSource {
 public:
  // A question that was put. Ask() may be answered at once (deadline in the past is never used).
  struct Asked {
    // No wait: `remote` of the construct is already filled (or stays empty: no one was asked).
    bool settled = true;
    std::uint64_t question = 0;  // names the question for Settle(), when not settled
    absl::Time deadline;         // on the steady clock; the question is settled then at the latest
  };

  virtual ~VerdictSource() = default;

  // Puts the question for `construct` to every provider whose filter matches. `wake` is called at
  // most once, from any thread, as soon as the answer is known; never from within Ask().
  // `wait_allowed` false: the session is ending anyway; answers are noted but nobody is waited for.
  virtual Asked Ask(DeliveryConstruct& construct, bool wait_allowed,
                    std::function<void()> wake) = 0;

  // When the question is to be settled, as it stands now: later than it was when who would have
  // ended it has answered. Asked when the deadline of before has come; the past: at once.
  virtual absl::Time DeadlineOf(std::uint64_t question, const DeliveryConstruct& construct) = 0;

  // Fills `construct.remote` with what has arrived; what has not takes its default. Called exactly
  // once for each question that was not settled, after `wake` or at the deadline. Reads what has
  // arrived before deciding that an answer is missing.
  virtual void Settle(std::uint64_t question, DeliveryConstruct& construct) = 0;

  // Tells how the chain ended, for the verdict event and the records. Called once for each Ask().
  virtual void OnVerdict(const DeliveryConstruct& construct, const ShutdownVerdict& verdict) = 0;
};

// Ends a session's wait for a verdict before its time: what has not arrived takes its default.
// Thread: the scheduler's.
class VerdictWait {
 public:
  // Does nothing while nobody waits.
  void End() {
    if (timer_ == nullptr) return;
    ended_ = true;  // a timer whose time has just come cannot be cancelled any more
    timer_->cancel();
  }

 private:
  friend class HookPoint;
  asio::steady_timer* timer_ = nullptr;
  bool ended_ = false;
};

class HookPoint {
 public:
  // `source` and `observer` may be null (no bridge). All must outlive the hook point.
  HookPoint(const base::Clock& clock, VerdictSource* source, SessionObserver* observer);

  // Calls the chain post_initiate_connection_smtp. `conn_fd`: a valid descriptor or a code < 0.
  void PostInitiateConnection(DomainRecord& domain, int binding_slot, int conn_fd);

  // True when AskShouldSessionShutdown could do anything: some provider is registered.
  bool has_should_session_shutdown() const;

  // Asks, waits if need be, calls the chain smtp_should_session_shutdown once and says what came of
  // it. With `session_over` the chain is called but nobody is waited for and the result is ignored
  // (result_ignored is set). `construct`, and `wait` if it is given, must live until the coroutine
  // ends.
  asio::awaitable<ShutdownVerdict> AskShouldSessionShutdown(DeliveryConstruct& construct,
                                                            bool session_over,
                                                            VerdictWait* wait = nullptr);

  // Null when nobody observes.
  SessionObserver* observer() const { return observer_; }

 private:
  const base::Clock& clock_;
  VerdictSource* const source_;
  SessionObserver* const observer_;
};

}  // namespace postern::hooks

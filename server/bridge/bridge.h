// Bridge: the provider of both hook chains through which remote clients watch and decide.
//
// Events come from scheduler threads, verdicts from rpc's threads, questions are put and settled by
// hooks::HookPoint. The bridge owns no thread and no timer: whoever waits for a deadline calls
// Settle(), and what expires is found to have expired when it is looked at.
//
//   bridge::Bridge bridge(policy, clock, registry, rpc::EncodeEvent);
//   bridge.RegisterProviders();                       // before the chains are frozen
//   hooks::HookPoint hook_point(clock, &bridge, &bridge);
//   bridge.SetSessionControl(&scheduler);             // before the first connection
//
// Thread: every method, any thread, unless it says otherwise. Never blocks.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/bridge/event.h"
#include "server/bridge/filter.h"
#include "server/bridge/policy.h"
#include "server/bridge/policy_switch.h"
#include "server/bridge/question.h"
#include "server/bridge/scope_table.h"
#include "server/bridge/subscriber.h"
#include "server/hooks/hook_point.h"
#include "server/hooks/observer.h"

namespace postern::bridge {

// A place in the stream of events.
struct Cursor {
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
};

struct WatchRequest {
  KindSet kinds;  // empty: KindSet::Default()
  Filter filter;
  std::optional<Cursor> after;  // replay what came behind it
  bool snapshot = false;        // begin with the open connections (always after a new epoch)
  std::string client;           // who watches, for the metrics
};

enum class AskMode : std::uint8_t { kSync = 1, kAsync = 2, kStanding = 3 };

struct AttachRequest {
  std::string provider;  // 1 to 64 of [a-z0-9._-]
  std::string identity;  // for the log
  KindSet kinds;         // empty: KindSet::Default()
  Filter filter;
  int priority = 0;  // clamped to -100 .. 100
  AskMode ask = AskMode::kSync;
  bool shadow = false;     // asked, compared, never used
  absl::Duration timeout;  // 0: policy.timeout; clamped to 1 ms .. policy.timeout
  std::optional<DefaultVerdict> default_verdict;
  bool snapshot = false;
};

// What is in force, after clamping and server rules.
struct Attached {
  std::string provider_id;  // names this stream: "warmup/3"
  std::uint64_t epoch = 0;
  std::uint64_t head_sequence = 0;
  AskMode ask = AskMode::kSync;
  bool shadow = false;
  int priority = 0;
  absl::Duration timeout;
  DefaultVerdict default_verdict = DefaultVerdict::kKeep;  // where no domain rule says otherwise
  KindSet kinds;
  Filter filter;
};

// A Decide stream. Destroying it is a Detach.
class DecideSession : public Subscription {
 public:
  virtual const Attached& attached() const = 0;

  // Takes the client's verdicts; each gets one VerdictResult from Take(), and those that were
  // DENIED are returned too, for the audit. RESOURCE_EXHAUSTED when the client does not read its
  // results (8192 wait already): end the stream. After Detach: all STALE.
  virtual absl::StatusOr<std::vector<VerdictResult>> Verdicts(std::vector<Verdict> verdicts) = 0;

  // "I have read everything up to this position." Frees the buffer. INVALID_ARGUMENT when it goes
  // back or ahead of what was taken; nothing is changed then.
  virtual absl::Status Acknowledge(std::uint64_t position) = 0;

  // No more events and questions; open ones take the default with cause `disconnect`. What is left
  // (the last results) can still be taken. Again: does nothing. `reason` is for the log, which gets
  // the first kMaxReasonBytes of it.
  virtual void Detach(absl::string_view reason) = 0;
};

// One provider name with the counts of all its streams since it is known.
// questions = answered + sum of defaults + cancelled + open.
struct ProviderStatus {
  std::string name;
  // As attached last, from `ask` to `default_verdict`; a stream in shadow mode only counts as that
  // while no other one is attached.
  AskMode ask = AskMode::kSync;
  bool shadow = false;
  bool ask_forced_async = false;      // over max_wait_share
  bool shutdowns_suppressed = false;  // by the churn guard
  int priority = 0;
  Filter filter;
  absl::Duration timeout;
  DefaultVerdict default_verdict = DefaultVerdict::kKeep;
  std::vector<std::string> streams;  // provider_id of each that is attached
  std::uint64_t questions = 0, answered = 0, cancelled = 0, open = 0;
  std::array<std::uint64_t, kDefaultCauseCount> defaults{};  // [cause]
  std::array<std::uint64_t, kVerdictStatusCount> results{};  // [status]
  std::uint64_t events = 0, events_dropped = 0;
  std::array<std::uint64_t, kShadowOutcomeCount> shadow_outcomes{};  // [outcome]
  absl::Duration answer_time, slowest_answer;
  SwitchPosition position = SwitchPosition::kOn;  // of the kill switch
  std::uint64_t scopes = 0;                       // rules for scopes in force
  enum class Breaker { kClosed, kOpen, kHalfOpen } breaker = Breaker::kClosed;
};

class AuditLog;

class Bridge final : public hooks::VerdictSource, public hooks::SessionObserver {
 public:
  // `clock` and `registry` must outlive the bridge. `encoder` may be null (tests).
  Bridge(PolicyOptions options, const base::Clock& clock, base::Registry& registry,
         Encoder encoder);
  ~Bridge() override;

  // Registers the bridge's provider in both chains. Once, before they are frozen; main thread.
  // The bridge must live until the last session has ended. ALREADY_EXISTS: a bridge is registered;
  // FAILED_PRECONDITION: too late.
  absl::Status RegisterProviders();

  // Other rules from the next question on: timeout, defaults, rules for domains and providers. A
  // client that is attached keeps what it asked for and is held to the new bounds.
  void SetPolicy(const PolicyOptions& options);

  // Where each question is kept; before the first connection.
  void SetAuditLog(std::unique_ptr<AuditLog> log);

  // The kill switch for remote clients.
  PolicySwitch& policy_switch();

  // How a standing SHUTDOWN reaches an idle session; null: not at all.
  void SetSessionControl(hooks::SessionControl* control);

  // INVALID_ARGUMENT: a malformed glob or name. RESOURCE_EXHAUSTED names the limit.
  absl::StatusOr<std::unique_ptr<Subscription>> Watch(WatchRequest request,
                                                      std::shared_ptr<Subscriber> subscriber);
  absl::StatusOr<std::unique_ptr<DecideSession>> Attach(AttachRequest request,
                                                        std::shared_ptr<Subscriber> subscriber);

  // Verdicts for connections and scopes in the name of a provider, attached or not; one result for
  // each. `by`: who gives them; `within`: what they may be about. A name that is new is remembered
  // only if something is kept for it. INVALID_ARGUMENT: the name or the filter. RESOURCE_EXHAUSTED:
  // too many names; nothing was kept.
  absl::StatusOr<std::vector<VerdictResult>> PostVerdicts(const std::string& provider,
                                                          const std::string& by,
                                                          const Filter& within,
                                                          std::vector<Verdict> verdicts);

  // See ScopeTable::Save. Call it often: it also forgets the rules that are over.
  absl::Status SaveScopes(const std::function<absl::Status(const ScopeTable::Kept& rules)>& save);
  // A rule that an earlier process kept.
  void RestoreScope(const std::string& provider, ScopeRule rule);

  // Ends the connections that have become as old as a verdict's `after_age` while they idle; those
  // in a transaction end after it. Call it once a second or so, from one thread. Costs two atomic
  // loads while no verdict has an age. Else it looks at each open connection, one shard of the
  // table (a 64th) under its lock at a time: of 20,000 connections 3 ms together, 40 ms when all of
  // them are old enough for the youngest age of a scope's rule, but none is concerned.
  void EndAged();

  // In order of name.
  std::vector<ProviderStatus> ListProviders() const;

  // Tells every stream, also later ones, that the service drains. `deadline`: steady clock.
  void Drain(absl::Time deadline);

  std::uint64_t epoch() const;
  std::uint64_t head_sequence() const;

  // The two providers of the chains.
  void PostInitiate(const hooks::DomainRecord& record, int conn_fd);
  static int ShouldShutdown(const hooks::DeliveryConstruct& construct);

  // hooks::VerdictSource
  Asked Ask(hooks::DeliveryConstruct& construct, bool wait_allowed,
            std::function<void()> wake) override;
  absl::Time DeadlineOf(std::uint64_t question, const hooks::DeliveryConstruct& construct) override;
  void Settle(std::uint64_t question, hooks::DeliveryConstruct& construct) override;
  void OnVerdict(const hooks::DeliveryConstruct& construct,
                 const hooks::ShutdownVerdict& verdict) override;

  // hooks::SessionObserver
  void OnSessionReady(const mail::ConnectionInfo& connection,
                      const hooks::SessionReady& ready) override;
  void OnDeliveryAttempt(const mail::ConnectionInfo& connection,
                         const hooks::AttemptReport& report) override;
  void OnConnectionClosed(const mail::ConnectionInfo& connection,
                          const hooks::ConnectionClosed& closed) override;

 private:
  struct Parts;

  struct Known;
  Known Lookup(const mail::ConnectionInfo& info);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace postern::bridge

// QuestionDesk: puts questions, takes verdicts, and decides.
//
// One path for every question: its parts (one for each provider that the pair concerns) are
// answered by what stands already, by a verdict or by a default, until any says SHUTDOWN or none is
// open. Everything that closes a part goes through Close(), everything that ends a question through
// Conclude(): so each is counted exactly once.
//
// Thread: any. Works on one connection at a time under its shard's lock; wakes sessions and tells
// subscribers after it has let go of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/bridge/connection_table.h"
#include "server/bridge/fanout.h"
#include "server/bridge/policy.h"
#include "server/bridge/policy_switch.h"
#include "server/bridge/scope_batch.h"
#include "server/bridge/scope_table.h"
#include "server/hooks/hook_point.h"

namespace postern::bridge {

// In whose name verdicts are given, by whom, and what they may be about.
struct Giver {
  ProviderPtr provider;
  std::string by;
  std::shared_ptr<const Matcher> within;  // never null
};

class QuestionDesk {
 public:
  QuestionDesk(const DefaultTable& defaults, const PolicySwitch& switches, ScopeTable& scopes,
               Fanout& fanout, ConnectionTable& connections, const base::Clock& clock,
               base::Registry& registry);

  void SetSessionControl(hooks::SessionControl* control) { control_.store(control); }

  // See hooks::VerdictSource.
  hooks::VerdictSource::Asked Ask(hooks::DeliveryConstruct& construct, bool wait_allowed,
                                  std::function<void()> wake);
  absl::Time DeadlineOf(std::uint64_t question, const hooks::DeliveryConstruct& construct);
  void Settle(std::uint64_t question, hooks::DeliveryConstruct& construct);

  // Ends the connections that have become too old for what stands for them. See Bridge::EndAged.
  void EndAged();

  // What came of the chain's call for the latest question, for those who shadow it.
  static void NoteEffective(Connection& connection, bool shutdown);

  // The connection is closed: its open question is cancelled.
  void CloseConnection(const base::Id& connection);

  // Verdicts of a stream that came in one frame: what became of each. Rules for scopes reach the
  // open connections last, in one pass over all of them.
  std::vector<VerdictResult> Apply(const StreamPtr& stream, std::vector<Verdict> verdicts);

  // The same for verdicts that come from no stream: for connections and scopes. `giver` may lack
  // its provider: `make` is called for it once there is something to keep; its error is returned,
  // and nothing was done then.
  using MakeProvider = absl::FunctionRef<absl::StatusOr<ProviderPtr>()>;
  absl::StatusOr<std::vector<VerdictResult>> Post(Giver giver, MakeProvider make,
                                                  std::vector<Verdict> verdicts);

  // The stream is closed; these questions take the default with cause `disconnect`.
  void Disconnect(const Stream& stream, const std::vector<Stream::QuestionKey>& questions);

 private:
  // What is to be done without any lock.
  struct Effects {
    Notifications notify;
    std::vector<std::function<void()>> wakes;
    std::shared_ptr<const mail::ConnectionInfo> end;  // the session to be asked to end
    hooks::ShutdownVerdict end_verdict;
  };
  // The connection and the moment that a step works on.
  struct Step {
    Connection& connection;
    absl::Time now;
    Effects& effects;
  };
  void Run(Effects& effects);

  // ---- asking (question_desk.cc; ASYNC: async_desk.cc) ----
  void AddParts(const Match& match, PendingQuestion& question, const Step& step);
  // What can be decided without sending anything.
  void TryAtOnce(Part& part, bool wait_allowed, const Step& step);
  bool AnswerByStanding(Part& part, const Step& step);
  void AnswerBy(const Standing& standing, Part& part, const Step& step);
  // What the provider said about the connection, or else about a scope that it is in.
  std::optional<Standing> StandingOf(const Provider* provider, const Step& step) const;
  bool AnswerByAsync(Part& part, const Step& step);
  void Send(Part& part, const hooks::DeliveryConstruct& construct, const Step& step);
  void Tell(Part& part, const hooks::DeliveryConstruct& construct, const Step& step);
  absl::Duration TimeoutOf(const Stream& stream) const;
  void Report(const PendingQuestion& question, hooks::DeliveryConstruct& construct,
              const Step& step);

  // ---- deciding (decision.cc) ----
  // The cause of the default that the kill switch puts in place of the provider's word, if any.
  std::optional<DefaultCause> ThrownSwitch(const Provider& provider) const;
  // Why a SHUTDOWN that the provider gives ahead would not count now, for people; empty: it would.
  std::string WhyIgnored(Provider& provider, absl::Time now) const;
  // Takes the word as the answer, whatever its limits. False: the kill switch is thrown, and the
  // part took its default.
  bool Answer(Part& part, DecisionSource source, const Standing& word, const Step& step);
  DefaultVerdict DefaultFor(const Part& part, DefaultCause cause, const Step& step) const;
  // A thrown kill switch goes before any other cause.
  void TakeDefault(Part& part, DefaultCause why, const Step& step);
  void CancelPart(Part& part, CancelCause cause, const Step& step);
  void CancelOpenParts(PendingQuestion& question, CancelCause cause, const Step& step);
  // Frees what an open part holds; true if it was sent and waited for.
  bool ReleasePart(Part& part, Part::State state, const Step& step);
  // The provider says SHUTDOWN to this connection. False: its SHUTDOWNs do not count at present.
  bool ShutdownCounts(const ProviderPtr& provider, const Step& step);
  // Providers whose own deadline was shorter than the question's and has passed.
  void ExpireOwnDeadlines(PendingQuestion& question, const Step& step);
  // Ends the question if it can be ended now.
  void Conclude(PendingQuestion& question, const Step& step);

  // ---- verdicts (verdict_desk.cc) ----
  // `batch` gets what is for a scope, as the verdict with this index.
  VerdictResult ApplyOne(const StreamPtr& stream, const Giver& giver, Verdict verdict,
                         std::size_t index, ScopeBatch& batch);
  VerdictResult ApplyLocked(const StreamPtr& stream, Verdict& verdict, const Step& step);
  VerdictResult AnswerQuestion(const StreamPtr& stream, const QuestionTarget& target,
                               Verdict& verdict, const Step& step);
  VerdictResult AnswerOpenPart(const StreamPtr& stream, PendingQuestion& question, Part& part,
                               Verdict& verdict, const Step& step);
  // REQUIRES: async.Knows(number).
  VerdictResult AnswerAsync(const StreamPtr& stream, ProviderState::Async& async,
                            std::uint32_t number, Verdict& verdict, const Step& step);
  VerdictResult Stand(const StreamPtr& stream, const ConnectionTarget& target, Verdict& verdict,
                      const Step& step);
  VerdictResult StandFor(const ProviderPtr& provider, const ConnectionTarget& target,
                         const Verdict& verdict, const Step& step);
  // `stands`: a question at the next boundary finds it, unless it is withdrawn.
  // Of the parts that are open: the last one's, or before it the first of one whose default ends
  // the session.
  void SetDeadline(PendingQuestion& question, const Step& step) const;
  void EndNow(const ProviderPtr& provider, const Standing& standing, bool stands, const Step& step);
  // Keeps or withdraws what stands for the connection, and counts those that age.
  void SetStanding(ProviderState& state, std::optional<Standing> standing);

  // ---- scopes, and what comes from no stream (scope_desk.cc) ----
  // nullopt: there is something to keep, and `giver` has no provider.
  std::optional<VerdictResult> PostOne(const Giver& giver, const Verdict& verdict,
                                       std::size_t index, ScopeBatch& batch);
  std::optional<VerdictResult> PostForConnection(const Giver& giver, const Verdict& verdict);
  // Stores the rule and adds it to the batch. REQUIRES: WhyNoRule() of the verdict is empty.
  VerdictResult PutScope(const Giver& giver, const Verdict& verdict, std::size_t index,
                         ScopeBatch& batch);
  // Applies the rules that have just come to what is open, and says so in the results.
  void Sweep(const Giver& giver, ScopeBatch& batch, std::vector<VerdictResult>& results);
  void SweepConnection(const ProviderPtr& provider, const ScopeBatch::Found& scopes,
                       const Step& step);
  // Ends the connection if it is too old for a verdict of its own, or for a rule of `ruling`.
  void EndIfAged(const std::vector<ProviderPtr>& ruling, const Step& step);
  // The rule that holds for a connection when these have come; null: none.
  std::shared_ptr<const ScopeRule> RuleFor(const Provider* provider,
                                           const ScopeBatch::Found& scopes, const Step& step) const;

  // ---- shadow mode (shadow.cc) ----
  static bool AnyShadow(const Match& match);
  void TellShadows(const Match& match, const hooks::DeliveryConstruct& construct, const Step& step);
  VerdictResult AnswerShadow(const StreamPtr& stream, const QuestionTarget& target,
                             const Verdict& verdict, const Step& step);
  // No answer comes any more.
  static void EndShadow(ProviderState& state);

  const DefaultTable& defaults_;
  ScopeTable& scopes_;
  const PolicySwitch& switches_;
  Fanout& fanout_;
  ConnectionTable& connections_;
  const base::Clock& clock_;
  base::Histogram& chain_wait_;
  std::atomic<hooks::SessionControl*> control_{nullptr};
  std::atomic<std::uint64_t> next_question_{1};
  // Verdicts that stand for connections and age: while there are none, nobody looks for them.
  std::atomic<std::int64_t> aging_{0};
};

// Details of results, for people: why a SHUTDOWN changes nothing for now.
inline constexpr char kSuppressedDetail[] =
    "SHUTDOWN does not count: connections end after too few deliveries";
inline constexpr char kSwitchedOffDetail[] = "does not count: the kill switch is thrown";

// What a client is asked after a transaction of the connection.
Question MakeQuestion(const hooks::DeliveryConstruct& construct, const Connection& connection);
// The event that must not be overtaken by the connection's questions.
std::uint64_t EventAhead(const Stream& stream, const Connection& connection);

// A result for a verdict; `detail` is for people.
VerdictResult ResultFor(const Verdict& verdict, VerdictStatus status, std::string detail = "");
// Why a verdict cannot be used; empty: it can.
std::string Unusable(const Verdict& verdict);
// The same for one whose target is a scope.
std::string WhyNoRule(const Verdict& verdict);

// Whose word counts: the SHUTDOWN of the highest priority; else the KEEP of the highest, answers
// before defaults; null when all abstained or were cancelled.
const Part* DecidingPart(const PendingQuestion& question);

}  // namespace postern::bridge

#include "server/bridge/question_desk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace postern::bridge {

Question MakeQuestion(const hooks::DeliveryConstruct& construct, const Connection& connection) {
  Question question;
  question.connection = connection.info;
  question.number = connection.last_number;
  if (construct.report != nullptr) {
    question.message_id = construct.report->message_id;
    question.disposition = construct.report->disposition;
    question.reply = construct.report->reply;
  }
  question.deliveries = construct.deliveries;
  question.attempts = construct.attempts;
  question.queue_depth = construct.queue_depth;
  return question;
}

std::uint64_t EventAhead(const Stream& stream, const Connection& connection) {
  return stream.spec().kinds.Has(EventKind::kPostInitiate) ? connection.initiate_sequence : 0;
}

QuestionDesk::QuestionDesk(const DefaultTable& defaults, const PolicySwitch& switches,
                           ScopeTable& scopes, Fanout& fanout, ConnectionTable& connections,
                           const base::Clock& clock, base::Registry& registry)
    : defaults_(defaults),
      scopes_(scopes),
      switches_(switches),
      fanout_(fanout),
      connections_(connections),
      clock_(clock),
      chain_wait_(registry.AddHistogram("postern_policy_chain_wait_seconds",
                                        "Time that sessions wait for remote verdicts.",
                                        base::LatencyBounds())) {}

void QuestionDesk::Run(Effects& effects) {
  for (const auto& wake : effects.wakes) wake();
  Notify(effects.notify);
  hooks::SessionControl* control = control_.load();
  if (effects.end && control != nullptr)
    control->RequestShutdown(*effects.end, effects.end_verdict);
}

hooks::VerdictSource::Asked QuestionDesk::Ask(hooks::DeliveryConstruct& construct,
                                              bool wait_allowed, std::function<void()> wake) {
  const mail::ConnectionInfo& info = *construct.connection_info;
  const std::shared_ptr<const Match> match = fanout_.MatchFor(*info.pair);
  hooks::VerdictSource::Asked asked;
  Effects effects;
  {
    ConnectionTable::Shard& shard = connections_.ShardOf(info.id);
    base::MutexLock lock(shard.mu);
    const absl::Time now = clock_.Steady();
    Connection& connection = shard.Ensure(info, now, fanout_.generation());
    const Step step{connection, now, effects};
    // A session never asks again before it has settled; a cut one may have left its question.
    if (connection.question) {
      CancelOpenParts(*connection.question, CancelCause::kSessionEnded, step);
    }
    connection.deliveries = construct.deliveries;
    connection.attempts = construct.attempts;
    connection.last = LastDecision{};
    connection.told_to_end = false;  // it asks instead: what it was told may have been withdrawn

    auto fresh = std::make_unique<PendingQuestion>();
    PendingQuestion& question = *fresh;
    AddParts(*match, question, step);
    const bool shadowed = wait_allowed && AnyShadow(*match);
    if (question.parts.empty() && !shadowed) return asked;
    question.number = ++connection.last_number;
    if (shadowed) TellShadows(*match, construct, step);
    connection.question = std::move(fresh);
    question.id = next_question_.fetch_add(1, std::memory_order_relaxed);
    question.asked_at = question.deadline = now;

    for (Part& part : question.parts) part.provider->CountQuestion();
    for (Part& part : question.parts) TryAtOnce(part, wait_allowed, step);
    if (std::any_of(question.parts.begin(), question.parts.end(),
                    [](const Part& part) { return part.shuts_down(); })) {
      Conclude(question, step);  // nobody needs to be asked any more
    }
    for (Part& part : question.parts) {
      if (question.closed) break;
      if (part.tell) Tell(part, construct, step);
      if (part.state == Part::State::kOpen) Send(part, construct, step);
      if (part.shuts_down()) Conclude(question, step);
    }
    Conclude(question, step);
    if (question.closed) {
      question.settled = true;
      Report(question, construct, step);
    } else {
      question.wake = std::move(wake);
      asked = {false, question.id, question.deadline};
    }
  }
  Run(effects);
  return asked;
}

void QuestionDesk::AddParts(const Match& match, PendingQuestion& question, const Step& step) {
  for (const Match::Replicas& replicas : match.providers) {
    const StreamPtr* owner =
        OwnerOf(replicas.streams, step.connection.info->id, step.connection.opened_among);
    if (owner == nullptr && !replicas.missing) continue;
    Part& part = question.parts.emplace_back();
    part.provider = replicas.provider;
    if (owner != nullptr) part.stream = *owner;
  }
  const auto has_part = [&question](const Provider* provider) {
    return question.Find(provider) != nullptr;
  };
  // What stands for the connection stays when who said it has gone.
  for (const ProviderState& state : step.connection.providers) {
    if (!state.standing || has_part(state.provider.get())) continue;
    question.parts.emplace_back().provider = state.provider;
  }
  // So does what stands for a scope.
  const mail::PairKey& pair = *step.connection.info->pair;
  for (const ProviderPtr& provider : scopes_.Providers()) {
    if (has_part(provider.get())) continue;
    if (!scopes_.Find(provider.get(), pair, step.connection.opened)) continue;
    question.parts.emplace_back().provider = provider;
  }
}

void QuestionDesk::TryAtOnce(Part& part, bool wait_allowed, const Step& step) {
  if (const std::optional<DefaultCause> cause = ThrownSwitch(*part.provider)) {
    // This was the boundary from which an ASYNC answer would have held.
    auto& async = step.connection.StateOf(part.provider).async;
    if (async) async->answer = Decision::kUnspecified;
    return TakeDefault(part, *cause, step);
  }
  if (AnswerByStanding(part, step)) return;
  if (!wait_allowed) return CancelPart(part, CancelCause::kSessionEnded, step);
  if (!part.stream) return TakeDefault(part, DefaultCause::kNoSubscriber, step);
  switch (part.stream->spec().ask) {
    case AskMode::kStanding:
      return TakeDefault(part, DefaultCause::kNoVerdict, step);
    case AskMode::kAsync:
      part.tell = true;
      break;
    case AskMode::kSync:
      part.tell = part.provider->ForcedAsync(step.now);
      break;
  }
  AnswerByAsync(part, step);
}

bool QuestionDesk::AnswerByStanding(Part& part, const Step& step) {
  const std::optional<Standing> standing = StandingOf(part.provider.get(), step);
  if (!standing) return false;
  AnswerBy(*standing, part, step);
  return true;
}

void QuestionDesk::AnswerBy(const Standing& standing, Part& part, const Step& step) {
  Standing word = standing;
  if (!standing.Due(step.connection.deliveries, step.now - step.connection.opened)) {
    word.decision = Decision::kKeep;
  }
  Answer(part, DecisionSource::kStanding, word, step);
}

absl::Duration QuestionDesk::TimeoutOf(const Stream& stream) const {
  return defaults_.TimeoutFor(stream.spec().provider->name(), stream.spec().timeout);
}

void QuestionDesk::Send(Part& part, const hooks::DeliveryConstruct& construct, const Step& step) {
  Provider& provider = *part.provider;
  Stream& stream = *part.stream;
  if (stream.Stuck() || !provider.TakePlace()) {
    return TakeDefault(part, DefaultCause::kOverload, step);
  }
  if (!provider.AllowedByBreaker(step.now)) {
    provider.FreePlace();
    return TakeDefault(part, DefaultCause::kBreakerOpen, step);
  }
  part.deadline = step.now + TimeoutOf(stream);
  Question question = MakeQuestion(construct, step.connection);
  question.deadline = part.deadline;
  const Stream::Sent sent = stream.Ask(std::move(question), EventAhead(stream, step.connection),
                                       /*open=*/true, &step.effects.notify);
  if (sent != Stream::Sent::kSent) {
    provider.FreePlace();
    provider.OnDropped(step.now);
    return TakeDefault(
        part, sent == Stream::Sent::kClosed ? DefaultCause::kDisconnect : DefaultCause::kOverload,
        step);
  }
  part.holds_place = true;
  PendingQuestion& pending = *step.connection.question;
  SetDeadline(pending, step);
}

void QuestionDesk::SetDeadline(PendingQuestion& question, const Step& step) const {
  absl::Time last = absl::InfinitePast();
  absl::Time cut = absl::InfiniteFuture();
  for (const Part& part : question.parts) {
    if (part.state != Part::State::kOpen || !part.holds_place) continue;
    last = std::max(last, part.deadline);
    // The first SHUTDOWN ends the question, a default's too: nobody is waited for any longer. While
    // the provider's SHUTDOWNs do not count, neither does this one.
    if (DefaultFor(part, DefaultCause::kTimeout, step) == DefaultVerdict::kShutdown &&
        !part.provider->Suppressed(step.now) && !ThrownSwitch(*part.provider)) {
      cut = std::min(cut, part.deadline);
    }
  }
  question.deadline = std::min(last, cut);
}

absl::Time QuestionDesk::DeadlineOf(std::uint64_t id, const hooks::DeliveryConstruct& construct) {
  ConnectionTable::Shard& shard = connections_.ShardOf(construct.connection_info->id);
  base::MutexLock lock(shard.mu);
  Connection* connection = shard.Find(construct.connection_info->id);
  if (connection == nullptr || !connection->question) return absl::InfinitePast();
  PendingQuestion& question = *connection->question;
  if (question.id != id || question.settled || question.closed) return absl::InfinitePast();
  Effects effects;
  SetDeadline(question, Step{*connection, clock_.Steady(), effects});
  return question.deadline;
}

void QuestionDesk::Settle(std::uint64_t id, hooks::DeliveryConstruct& construct) {
  Effects effects;
  {
    ConnectionTable::Shard& shard = connections_.ShardOf(construct.connection_info->id);
    base::MutexLock lock(shard.mu);
    Connection* connection = shard.Find(construct.connection_info->id);
    if (connection == nullptr || !connection->question) return;
    PendingQuestion& question = *connection->question;
    if (question.id != id || question.settled) return;
    const Step step{*connection, clock_.Steady(), effects};
    question.settled = true;
    question.wake = nullptr;
    ExpireOwnDeadlines(question, step);
    if (!question.closed && step.now < question.deadline) {
      // Before its time: the session was cut.
      CancelOpenParts(question, CancelCause::kSessionEnded, step);
    }
    // Those whose own time is over go first: if one of them says SHUTDOWN, the others, who had more
    // time, did not miss theirs.
    for (const bool over : {true, false}) {
      for (Part& part : question.parts) {
        if (part.state != Part::State::kOpen || (part.deadline <= step.now) != over) continue;
        TakeDefault(part, DefaultCause::kTimeout, step);
        if (part.shuts_down()) Conclude(question, step);
      }
    }
    Conclude(question, step);
    chain_wait_.Observe(step.now - question.asked_at);
    Report(question, construct, step);
  }
  Run(effects);
}

void QuestionDesk::Report(const PendingQuestion& question, hooks::DeliveryConstruct& construct,
                          const Step& step) {
  LastDecision& last = step.connection.last;
  last.number = question.number;
  last.waited = step.now - question.asked_at;
  const Part* part = DecidingPart(question);
  if (part == nullptr) return;
  last.source = part->source;
  last.cause = part->cause;
  last.provider = part->provider->name();
  last.reason = part->reason;
  hooks::ShutdownVerdict verdict;
  verdict.shutdown = part->shuts_down();
  verdict.cause = mail::CloseCause::kRemotePolicy;
  verdict.provider = last.provider;
  verdict.reason = part->reason;
  verdict.hold = part->then.hold;
  verdict.avoid_host = part->then.avoid_host;
  construct.remote = std::move(verdict);
}

void QuestionDesk::CloseConnection(const base::Id& id) {
  Effects effects;
  {
    ConnectionTable::Shard& shard = connections_.ShardOf(id);
    base::MutexLock lock(shard.mu);
    const auto it = shard.connections.find(id);
    if (it == shard.connections.end()) return;
    const std::unique_ptr<Connection> connection = std::move(it->second);
    shard.connections.erase(it);
    for (ProviderState& state : connection->providers) {
      EndShadow(state);
      SetStanding(state, std::nullopt);
    }
    if (connection->question) {
      const Step step{*connection, clock_.Steady(), effects};
      connection->question->wake = nullptr;
      CancelOpenParts(*connection->question, CancelCause::kSessionEnded, step);
    }
  }
  Run(effects);
}

}  // namespace postern::bridge

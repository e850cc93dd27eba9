// Questions that are told and not waited for (QuestionDesk): ASYNC, and SYNC while it costs the
// sessions too much time.
#include <algorithm>
#include <utility>

#include "server/bridge/question_desk.h"

namespace postern::bridge {

bool QuestionDesk::AnswerByAsync(Part& part, const Step& step) {
  auto& async = step.connection.StateOf(part.provider).async;
  if (!async) return false;
  if (std::exchange(async->forced, false) && part.tell) {
    ProviderState& state = step.connection.StateOf(part.provider);
    const absl::Duration took = std::min(async->answered_at, step.now) - async->asked_at;
    const absl::Time since = std::max(state.accounted_until, step.connection.opened);
    part.provider->OnWaited(step.now, std::min(took, TimeoutOf(*async->stream)), step.now - since);
    state.accounted_until = step.now;
  }
  Standing word;
  word.decision = std::exchange(async->answer, Decision::kUnspecified);
  word.then = async->then;
  word.reason = std::exchange(async->reason, std::string());
  if (word.decision == Decision::kUnspecified) return false;
  // Who is waited for again can say KEEP itself.
  if (!part.tell && word.decision != Decision::kShutdown) return false;
  return Answer(part, DecisionSource::kAnswer, word, step);
}

void QuestionDesk::Tell(Part& part, const hooks::DeliveryConstruct& construct, const Step& step) {
  Stream& stream = *part.stream;
  Question question = MakeQuestion(construct, step.connection);
  question.deadline = step.now + TimeoutOf(stream);
  const bool stuck = stream.Stuck();
  Stream::Sent sent = Stream::Sent::kOverload;
  if (!stuck) {
    sent = stream.Ask(std::move(question), EventAhead(stream, step.connection), /*open=*/false,
                      &step.effects.notify);
  }
  if (sent == Stream::Sent::kSent) {
    auto& async = step.connection.StateOf(part.provider).async;
    if (!async || async->stream != part.stream) async = ProviderState::Async();
    using Async = ProviderState::Async;
    if (async->open.size() >= Async::kMostOpen) async->open.erase(async->open.begin());
    async->open.push_back({step.connection.last_number, step.now});
    async->stream = part.stream;
    async->latest = step.connection.last_number;
    async->asked_at = step.now;
    async->answered_at = absl::InfiniteFuture();
    async->forced = stream.spec().ask == AskMode::kSync;
  }
  if (part.state != Part::State::kOpen) return;
  TakeDefault(part,
              sent == Stream::Sent::kSent     ? DefaultCause::kNoVerdict
              : sent == Stream::Sent::kClosed ? DefaultCause::kDisconnect
                                              : DefaultCause::kOverload,
              step);
}

VerdictResult QuestionDesk::AnswerAsync(const StreamPtr& stream, ProviderState::Async& async,
                                        std::uint32_t number, Verdict& verdict, const Step& step) {
  if (async.stream != stream) {
    return ResultFor(verdict, VerdictStatus::kStale, "asked of another stream of this provider");
  }
  const auto told = std::find_if(async.open.begin(), async.open.end(),
                                 [number](const auto& one) { return one.number == number; });
  if (told == async.open.end()) {
    return ResultFor(verdict, VerdictStatus::kDuplicate, "answered already");
  }
  const ProviderPtr& provider = stream->spec().provider;
  provider->OnAnswer(step.now, step.now - told->asked_at);
  async.open.erase(told);
  if (number == async.latest) async.answered_at = step.now;
  // A SHUTDOWN that waits for the boundary is not taken back by what is said of another question:
  // a client that is slow, or answers out of order, has said it all the same.
  if (async.answer != Decision::kShutdown) {
    async.answer = verdict.decision;
    async.then = verdict.then;
    async.reason = verdict.reason;
  }
  if (verdict.decision != Decision::kShutdown) return ResultFor(verdict, VerdictStatus::kStored);
  // The next boundary is now, if no transaction is open; else the session, or the next call of the
  // chain, finds it there.
  Standing standing;
  standing.decision = Decision::kShutdown;
  standing.then = verdict.then;
  standing.reason = verdict.reason;
  EndNow(provider, standing, /*stands=*/false, step);
  return ResultFor(verdict, VerdictStatus::kStored, WhyIgnored(*provider, step.now));
}

}  // namespace postern::bridge

// Shadow mode: clients that are asked and timed, whose answers are compared with what was decided,
// and never used (QuestionDesk). Nothing here is part of a question: no session waits for it and no
// count of questions knows it.
#include <utility>

#include "server/bridge/question_desk.h"

namespace postern::bridge {
namespace {

// The answer and the decision are both there: compares them, once.
void CompareIfComplete(Provider& provider, ProviderState::Shadow& shadow) {
  if (shadow.over || shadow.answer == Decision::kUnspecified || !shadow.effective) return;
  shadow.over = true;
  if (shadow.answer == Decision::kAbstain) return provider.CountShadow(ShadowOutcome::kAbstained);
  const bool agrees = (shadow.answer == Decision::kShutdown) == *shadow.effective;
  provider.CountShadow(agrees ? ShadowOutcome::kAgreed : ShadowOutcome::kDiffered);
}

}  // namespace

bool QuestionDesk::AnyShadow(const Match& match) {
  for (const Match::Replicas& replicas : match.providers) {
    if (!replicas.shadows.empty()) return true;
  }
  return false;
}

void QuestionDesk::TellShadows(const Match& match, const hooks::DeliveryConstruct& construct,
                               const Step& step) {
  for (const Match::Replicas& replicas : match.providers) {
    const StreamPtr* owner =
        OwnerOf(replicas.shadows, step.connection.info->id, step.connection.opened_among);
    if (owner == nullptr) continue;
    ProviderState& state = step.connection.StateOf(replicas.provider);
    EndShadow(state);
    Stream& stream = **owner;
    if (stream.spec().ask == AskMode::kStanding || stream.Stuck() ||
        switches_.For(replicas.provider->name()) != SwitchPosition::kOn) {
      continue;
    }
    Question question = MakeQuestion(construct, step.connection);
    question.deadline = step.now + TimeoutOf(stream);
    const Stream::Sent sent = stream.Ask(std::move(question), EventAhead(stream, step.connection),
                                         /*open=*/false, &step.effects.notify);
    if (sent != Stream::Sent::kSent) continue;
    ProviderState::Shadow asked;
    asked.number = step.connection.last_number;
    asked.stream = stream.spec().id;
    asked.asked_at = step.now;
    state.shadow = asked;
  }
}

VerdictResult QuestionDesk::AnswerShadow(const StreamPtr& stream, const QuestionTarget& target,
                                         const Verdict& verdict, const Step& step) {
  if (std::string unusable = Unusable(verdict); !unusable.empty()) {
    return ResultFor(verdict, VerdictStatus::kDenied, std::move(unusable));
  }
  if (target.number == 0 || target.number > step.connection.last_number) {
    return ResultFor(verdict, VerdictStatus::kUnknown, "number: not asked yet");
  }
  Provider& provider = *stream->spec().provider;
  auto& shadow = step.connection.StateOf(stream->spec().provider).shadow;
  if (!shadow || shadow->number != target.number) {
    return ResultFor(verdict, VerdictStatus::kLate, "another question was asked since");
  }
  if (shadow->stream != stream->spec().id) {
    return ResultFor(verdict, VerdictStatus::kStale, "asked of another stream of this provider");
  }
  if (shadow->answer != Decision::kUnspecified) {
    return ResultFor(verdict, VerdictStatus::kDuplicate, "answered already");
  }
  shadow->answer = verdict.decision;
  provider.OnShadowAnswer(step.now - shadow->asked_at);
  CompareIfComplete(provider, *shadow);
  return ResultFor(verdict, VerdictStatus::kStored, "shadow: compared, not used");
}

void QuestionDesk::NoteEffective(Connection& connection, bool shutdown) {
  for (ProviderState& state : connection.providers) {
    if (!state.shadow || state.shadow->number != connection.last_number) continue;
    state.shadow->effective = shutdown;
    CompareIfComplete(*state.provider, *state.shadow);
  }
}

void QuestionDesk::EndShadow(ProviderState& state) {
  if (!state.shadow) return;
  if (!state.shadow->over) state.provider->CountShadow(ShadowOutcome::kUnanswered);
  state.shadow.reset();
}

}  // namespace postern::bridge

// How the parts of a question are closed and the question is decided (QuestionDesk).
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/bridge/question_desk.h"

namespace postern::bridge {

const Part* DecidingPart(const PendingQuestion& question) {
  const auto rank = [](const Part& part) {
    return std::tuple(part.shuts_down(), part.state == Part::State::kAnswered, part.priority());
  };
  const Part* best = nullptr;
  for (const Part& part : question.parts) {
    const bool has_word = (part.decision == Decision::kKeep || part.shuts_down()) &&
                          part.state != Part::State::kCancelled;
    if (has_word && (best == nullptr || rank(part) > rank(*best))) best = &part;
  }
  // Among SHUTDOWNs priority alone counts, whether answered or in place of an answer.
  if (best == nullptr || !best->shuts_down()) return best;
  for (const Part& part : question.parts) {
    if (part.shuts_down() && part.priority() > best->priority()) best = &part;
  }
  return best;
}

bool QuestionDesk::ReleasePart(Part& part, Part::State state, const Step& step) {
  POSTERN_CHECK(part.state == Part::State::kOpen);
  part.state = state;
  part.closed_at = step.now;
  if (!part.holds_place) return false;
  part.holds_place = false;
  part.provider->FreePlace();
  const PendingQuestion& question = *step.connection.question;
  ProviderState& provider_state = step.connection.StateOf(part.provider);
  const absl::Time since = std::max(provider_state.accounted_until, step.connection.opened);
  part.provider->OnWaited(step.now, std::min(step.now, part.deadline) - question.asked_at,
                          step.now - since);
  provider_state.accounted_until = step.now;
  return true;
}

bool QuestionDesk::ShutdownCounts(const ProviderPtr& provider, const Step& step) {
  ProviderState& state = step.connection.StateOf(provider);
  if (!std::exchange(state.said_shutdown, true)) {
    provider->OnShutdown(step.now, step.connection.deliveries);
  }
  return !provider->Suppressed(step.now);
}

std::optional<DefaultCause> QuestionDesk::ThrownSwitch(const Provider& provider) const {
  switch (switches_.For(provider.name())) {
    case SwitchPosition::kOn:
      return std::nullopt;
    case SwitchPosition::kOff:
      return DefaultCause::kSwitchedOff;
    case SwitchPosition::kForceKeep:
      return DefaultCause::kForcedKeep;
  }
  return std::nullopt;
}

std::string QuestionDesk::WhyIgnored(Provider& provider, absl::Time now) const {
  if (ThrownSwitch(provider)) return kSwitchedOffDetail;
  return provider.Suppressed(now) ? kSuppressedDetail : "";
}

bool QuestionDesk::Answer(Part& part, DecisionSource source, const Standing& word,
                          const Step& step) {
  // The switch may have been thrown since the question was put.
  if (const std::optional<DefaultCause> cause = ThrownSwitch(*part.provider)) {
    TakeDefault(part, *cause, step);
    return false;
  }
  const PendingQuestion& question = *step.connection.question;
  const bool was_sent = ReleasePart(part, Part::State::kAnswered, step);
  part.source = source;
  part.decision = word.decision;
  part.then = word.then;
  part.reason = word.reason;
  part.provider->CountAnswer(word.decision);
  if (was_sent) {
    part.provider->OnAnswer(step.now, step.now - question.asked_at);
    if (source == DecisionSource::kStanding) {
      part.stream->Cancel(step.connection.info->id, question.number, CancelCause::kStanding,
                          &step.effects.notify);
    } else {
      part.stream->Forget(step.connection.info->id, question.number, /*answered=*/true);
    }
  }
  if (word.decision == Decision::kShutdown && !word.recycles) {
    part.suppressed = !ShutdownCounts(part.provider, step);
  }
  return true;
}

DefaultVerdict QuestionDesk::DefaultFor(const Part& part, DefaultCause cause,
                                        const Step& step) const {
  if (cause == DefaultCause::kForcedKeep) return DefaultVerdict::kKeep;
  const std::optional<DefaultVerdict> asked =
      part.stream ? part.stream->spec().default_verdict : part.provider->asked_default();
  return defaults_.For(step.connection.info->pair->domain, part.provider->name(), asked, cause);
}

void QuestionDesk::TakeDefault(Part& part, DefaultCause why, const Step& step) {
  const DefaultCause cause = ThrownSwitch(*part.provider).value_or(why);
  const bool was_sent = ReleasePart(part, Part::State::kDefaulted, step);
  part.source = DecisionSource::kDefault;
  part.cause = cause;
  part.reason = absl::StrCat("default: ", Name(cause));
  part.decision = DefaultFor(part, cause, step) == DefaultVerdict::kShutdown ? Decision::kShutdown
                                                                             : Decision::kKeep;
  part.provider->CountDefault(cause);
  if (was_sent) {
    if (cause == DefaultCause::kTimeout || cause == DefaultCause::kInvalid) {
      part.provider->OnFailure(step.now);
    } else {
      part.provider->OnDropped(step.now);
    }
    part.stream->Forget(step.connection.info->id, step.connection.question->number,
                        /*answered=*/false);
  }
  if (part.decision == Decision::kShutdown) part.suppressed = !ShutdownCounts(part.provider, step);
}

void QuestionDesk::CancelPart(Part& part, CancelCause cause, const Step& step) {
  const bool was_sent = ReleasePart(part, Part::State::kCancelled, step);
  part.provider->CountCancelled();
  if (!was_sent) return;
  part.provider->OnDropped(step.now);
  part.stream->Cancel(step.connection.info->id, step.connection.question->number, cause,
                      &step.effects.notify);
}

void QuestionDesk::CancelOpenParts(PendingQuestion& question, CancelCause cause, const Step& step) {
  for (Part& part : question.parts) {
    if (part.state == Part::State::kOpen) CancelPart(part, cause, step);
  }
  Conclude(question, step);
}

void QuestionDesk::ExpireOwnDeadlines(PendingQuestion& question, const Step& step) {
  if (question.closed) return;
  for (Part& part : question.parts) {
    if (part.state != Part::State::kOpen || part.deadline >= question.deadline) continue;
    if (step.now < part.deadline) continue;
    TakeDefault(part, DefaultCause::kTimeout, step);
    part.closed_at = part.deadline;  // for "how late": nobody has looked since
  }
  Conclude(question, step);
}

void QuestionDesk::Conclude(PendingQuestion& question, const Step& step) {
  if (question.closed) return;
  const bool shutdown = std::any_of(question.parts.begin(), question.parts.end(),
                                    [](const Part& part) { return part.shuts_down(); });
  if (shutdown) {
    for (Part& part : question.parts) {
      if (part.state == Part::State::kOpen) CancelPart(part, CancelCause::kDecided, step);
    }
  } else if (std::any_of(question.parts.begin(), question.parts.end(),
                         [](const Part& part) { return part.state == Part::State::kOpen; })) {
    return;
  }
  question.closed = true;
  question.closed_at = step.now;
  step.connection.closings[question.number % step.connection.closings.size()] = step.now;
  if (question.wake) step.effects.wakes.push_back(std::exchange(question.wake, nullptr));
}

}  // namespace postern::bridge

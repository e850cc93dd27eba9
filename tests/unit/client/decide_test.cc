#include "client/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postern::client {
namespace {

using ::testing::ElementsAre;

v1::Question QuestionOf(std::uint32_t number, std::uint32_t deliveries) {
  v1::Question question;
  question.set_connection_id("c1");
  question.set_number(number);
  question.set_deliveries(deliveries);
  return question;
}

TEST(Judge, ShutsDownFromTheNumberOfDeliveriesOn) {
  DecideOptions options;
  options.shutdown_after = 3;
  Judge judge(options);
  EXPECT_EQ(judge.Answer(QuestionOf(1, 2)).decision(), v1::DECISION_KEEP);
  const v1::Verdict verdict = judge.Answer(QuestionOf(2, 3));
  EXPECT_EQ(verdict.decision(), v1::DECISION_SHUTDOWN);
  EXPECT_EQ(verdict.question().connection_id(), "c1");
  EXPECT_EQ(verdict.question().number(), 2U);
  EXPECT_EQ(verdict.reason(), "after 3 deliveries");
}

TEST(Judge, SaysWhatFollowsAShutdown) {
  DecideOptions options;
  options.shutdown_after = 1;
  options.then = {.action = "hold", .duration = "10m"};
  Judge judge(options);
  EXPECT_FALSE(judge.Answer(QuestionOf(1, 0)).has_then());
  const v1::Verdict verdict = judge.Answer(QuestionOf(2, 1));
  EXPECT_EQ(verdict.then().action(), v1::THEN_ACTION_HOLD);
  EXPECT_EQ(verdict.then().duration().seconds(), 600);
  EXPECT_EQ(BuildAttach(options).attach().mode(), v1::DECIDE_MODE_ENFORCE);
  options.shadow = true;
  EXPECT_EQ(BuildAttach(options).attach().mode(), v1::DECIDE_MODE_SHADOW);
}

TEST(BuildPostVerdicts, ForAScopeTheLatestWinsUnlessARevisionIsGiven) {
  VerdictOptions options;
  options.scope = {.domain = "*.a.test", .binding = "bulk"};
  options.after_age = "5m";
  options.ttl = "30m";
  options.reason = "why";
  const v1::PostVerdictsRequest request = BuildPostVerdicts(options, 1234);
  EXPECT_EQ(request.provider(), "cli");
  ASSERT_EQ(request.verdicts_size(), 1);
  const v1::Verdict& verdict = request.verdicts(0);
  EXPECT_EQ(verdict.decision(), v1::DECISION_SHUTDOWN);
  EXPECT_EQ(verdict.reason(), "why");
  EXPECT_EQ(verdict.scope().domain(), "*.a.test");
  EXPECT_EQ(verdict.scope().binding(), "bulk");
  EXPECT_EQ(verdict.scope().after_age().seconds(), 300);
  EXPECT_EQ(verdict.scope().ttl().seconds(), 1800);
  EXPECT_EQ(verdict.scope().revision(), 1234U);
  options.revision = 7;
  EXPECT_EQ(BuildPostVerdicts(options, 1234).verdicts(0).scope().revision(), 7U);
}

TEST(BuildPostVerdicts, WithdrawsAScopeByAbstaining) {
  VerdictOptions options;
  options.scope.domain = "a.test";
  options.withdraw = true;
  const v1::Verdict verdict = BuildPostVerdicts(options, 1).verdicts(0);
  EXPECT_EQ(verdict.decision(), v1::DECISION_ABSTAIN);
  EXPECT_EQ(verdict.scope().rule_case(), v1::ScopeTarget::RULE_NOT_SET);
}

TEST(BuildPostVerdicts, ForAConnectionMeansNowWithoutARule) {
  VerdictOptions options;
  options.connection = "c1";
  options.then = {.action = "avoid-host", .duration = "1m"};
  const v1::Verdict verdict = BuildPostVerdicts(options, 1).verdicts(0);
  EXPECT_EQ(verdict.decision(), v1::DECISION_SHUTDOWN);
  EXPECT_EQ(verdict.connection().connection_id(), "c1");
  EXPECT_EQ(verdict.connection().when_case(), v1::ConnectionTarget::WHEN_NOT_SET);
  EXPECT_EQ(verdict.then().action(), v1::THEN_ACTION_AVOID_HOST);
  options.keep = true;
  EXPECT_EQ(BuildPostVerdicts(options, 1).verdicts(0).decision(), v1::DECISION_KEEP);
}

TEST(Judge, KeepsSessionsWithoutANumber) {
  Judge judge{DecideOptions()};
  EXPECT_EQ(judge.Answer(QuestionOf(1, 1000)).decision(), v1::DECISION_KEEP);
}

TEST(Judge, NeverUsesAVerdictIdTwice) {
  DecideOptions options;
  options.shutdown_after = 1;
  options.ahead = true;
  Judge judge(options);
  const std::uint64_t first = judge.Answer(QuestionOf(1, 0)).verdict_id();
  const std::uint64_t second = judge.Ahead("c2")->verdict_id();
  EXPECT_GT(first, 0U);
  EXPECT_GT(second, first);
}

TEST(Judge, SaysNothingAheadUnlessAskedTo) {
  DecideOptions options;
  options.shutdown_after = 3;
  EXPECT_FALSE(Judge(options).Ahead("c1"));
}

TEST(Respond, AnswersEveryQuestionInOneFrame) {
  v1::DecideResponse frame;
  *frame.mutable_questions()->add_questions() = QuestionOf(1, 0);
  *frame.mutable_questions()->add_questions() = QuestionOf(2, 0);
  Judge judge{DecideOptions()};
  const auto requests = Respond(judge, frame);
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].verdicts().verdicts_size(), 2);
}

TEST(Respond, AcknowledgesTheLastPositionOfAFrame) {
  v1::DecideResponse frame;
  frame.mutable_events()->set_first_position(10);
  frame.mutable_events()->add_events();
  frame.mutable_events()->add_events();
  Judge judge{DecideOptions()};
  const auto requests = Respond(judge, frame);
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].acknowledge().position(), 11U);
}

TEST(Respond, AheadJudgesConnectionsThatOpenedAndThoseOfTheSnapshot) {
  DecideOptions options;
  options.shutdown_after = 5;
  options.ahead = true;
  Judge judge(options);
  v1::DecideResponse events;
  events.mutable_events()->set_first_position(1);
  auto* opened = events.mutable_events()->add_events();
  opened->mutable_connection()->set_connection_id("opened");
  opened->mutable_post_initiate_connection_smtp()->set_conn_fd(0);
  auto* failed = events.mutable_events()->add_events();
  failed->mutable_connection()->set_connection_id("failed");
  failed->mutable_post_initiate_connection_smtp()->set_error(v1::CONN_ERROR_CONNECT);
  const auto requests = Respond(judge, events);
  ASSERT_EQ(requests.size(), 2U);
  ASSERT_EQ(requests[0].verdicts().verdicts_size(), 1);
  EXPECT_EQ(requests[0].verdicts().verdicts(0).connection().connection_id(), "opened");
  EXPECT_EQ(requests[0].verdicts().verdicts(0).connection().after_deliveries(), 5U);

  v1::DecideResponse snapshot;
  snapshot.mutable_snapshot()->add_connections()->mutable_connection()->set_connection_id("old");
  ASSERT_EQ(Respond(judge, snapshot).size(), 1U);
}

TEST(Respond, HasNothingToSayToAHeartbeat) {
  v1::DecideResponse frame;
  frame.mutable_heartbeat();
  Judge judge{DecideOptions()};
  EXPECT_TRUE(Respond(judge, frame).empty());
}

TEST(BuildAttach, AheadAsksNothingAndMissesNoConnection) {
  DecideOptions options;
  options.ahead = true;
  options.filter.kinds = "closed";
  const v1::Attach attach = BuildAttach(options).attach();
  EXPECT_EQ(attach.ask(), v1::ASK_MODE_STANDING);
  EXPECT_TRUE(attach.snapshot());
  EXPECT_THAT(attach.kinds(), ElementsAre(v1::EVENT_KIND_CONNECTION_CLOSED,
                                          v1::EVENT_KIND_POST_INITIATE_CONNECTION_SMTP));
}

TEST(BuildAttach, CarriesTimeoutDefaultAndPriority) {
  DecideOptions options;
  options.timeout = "50ms";
  options.default_verdict = "shutdown";
  options.priority = -7;
  const v1::Attach attach = BuildAttach(options).attach();
  EXPECT_EQ(attach.provider(), "cli");
  EXPECT_EQ(attach.ask(), v1::ASK_MODE_SYNC);
  EXPECT_EQ(attach.timeout().nanos(), 50'000'000);
  EXPECT_EQ(attach.default_verdict(), v1::DEFAULT_VERDICT_SHUTDOWN);
  EXPECT_EQ(attach.priority(), -7);
}

}  // namespace
}  // namespace postern::client

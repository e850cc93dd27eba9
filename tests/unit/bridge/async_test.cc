// ASYNC: answers that come when the next question has been told already.
#include "tests/unit/bridge/fixture.h"

namespace postern::bridge {
namespace {

class AsyncTest : public BridgeTest {
 protected:
  void SetUp() override {
    BridgeTest::SetUp();
    session = std::make_unique<FakeSession>(*bridge, clock);
    session->Connect();
  }
  Client AttachAsync() {
    AttachRequest request = Request("p");
    request.ask = AskMode::kAsync;
    return Attach(std::move(request));
  }
  // So many transactions, after none of which the session ends.
  void Rounds(int n) {
    for (int i = 0; i < n; ++i) {
      ASSERT_TRUE(session->Ask().settled);
      ASSERT_FALSE(session->Settle());
    }
  }
  std::unique_ptr<FakeSession> session;
};

TEST_F(AsyncTest, ASlowAnswerHoldsFromTheNextBoundaryOn) {
  Client client = AttachAsync();
  Rounds(40);
  EXPECT_EQ(client.Take().questions.size(), 40u);
  EXPECT_EQ(client.Answer(*session, 3, Decision::kShutdown, "slow").status, VerdictStatus::kStored);
  EXPECT_EQ(control.requests.size(), 1u) << "an idle session ends at once";
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(session->construct.remote->reason, "slow");
  session->Ask();
  EXPECT_FALSE(session->Settle()) << "an answer is used once";
  ExpectBalance();
}

TEST_F(AsyncTest, AnAnswerToAnotherQuestionDoesNotTakeAShutdownBack) {
  Client client = AttachAsync();
  Rounds(3);
  EXPECT_EQ(client.Answer(*session, 2, Decision::kKeep).status, VerdictStatus::kStored);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kStored);
  EXPECT_EQ(client.Answer(*session, 3, Decision::kKeep).status, VerdictStatus::kStored);
  EXPECT_EQ(client.Answer(*session, 3, Decision::kKeep).status, VerdictStatus::kDuplicate);
  EXPECT_EQ(client.Answer(*session, 2, Decision::kKeep).status, VerdictStatus::kLate);
  session->Ask();
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(Status("p").answered, 1u);
}

TEST_F(AsyncTest, WhatWasToldTooManyQuestionsAgoIsLate) {
  Client client = AttachAsync();
  Rounds(129);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kLate);
  EXPECT_EQ(client.Answer(*session, 2, Decision::kShutdown).status, VerdictStatus::kStored);
}

TEST_F(AsyncTest, OnlyTheStreamThatWasAskedMayAnswer) {
  Client a = AttachAsync(), b = AttachAsync();
  Rounds(2);
  Client& other = a.Take().questions.empty() ? a : b;
  for (const std::uint32_t number : {1u, 2u}) {
    EXPECT_EQ(other.Answer(*session, number, Decision::kShutdown).status, VerdictStatus::kStale);
  }
  EXPECT_TRUE(control.requests.empty());
  Rounds(1);
}

TEST_F(AsyncTest, AnAnswerDoesNotOutliveABoundaryAtWhichTheKillSwitchWasThrown) {
  Client client = AttachAsync();
  Rounds(1);
  SwitchState state;
  state.position = SwitchPosition::kForceKeep;
  ASSERT_TRUE(bridge->policy_switch().Set(state).ok());
  const VerdictResult result = client.Answer(*session, 1, Decision::kShutdown);
  EXPECT_EQ(result.detail, "does not count: the kill switch is thrown");
  Rounds(1);
  state.position = SwitchPosition::kOn;
  ASSERT_TRUE(bridge->policy_switch().Set(state).ok());
  Rounds(1);
  EXPECT_TRUE(control.requests.empty());
}

TEST_F(AsyncTest, ASyncProviderThatIsTooSlowIsHeardTheSameWay) {
  Client client = Attach("p");
  const auto round = [&](absl::Duration latency) {
    clock.Advance(absl::Milliseconds(200));
    session->Ask();
    clock.Advance(latency);
    for (const Question& question : client.Take().questions) {
      client.Answer(*session, question.number, Decision::kKeep);
    }
    session->Settle();
  };
  for (int i = 0; i < 61; ++i) round(absl::Milliseconds(80));
  ASSERT_TRUE(Status("p").ask_forced_async);
  Rounds(2);
  const auto number = client.Take().questions.front().number;
  ASSERT_EQ(number, session->attempts - 1) << "the one before the latest";
  EXPECT_EQ(client.Answer(*session, number, Decision::kShutdown).status, VerdictStatus::kStored);
  session->Ask();
  EXPECT_TRUE(session->Settle());
  ExpectBalance();
}

}  // namespace
}  // namespace postern::bridge

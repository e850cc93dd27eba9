// The kill switch, thrown while questions are open.
#include "tests/unit/bridge/scope_fixture.h"

namespace postern::bridge {
namespace {

class OpenSwitchTest : public ScopeTest {
 protected:
  void SetUp() override {
    PolicyOptions options;
    options.defaults.verdict = DefaultVerdict::kShutdown;
    options.defaults.by_cause[static_cast<std::size_t>(DefaultCause::kSwitchedOff)] =
        DefaultVerdict::kKeep;
    Start(options);
    client = Attach("p");
    session = std::make_unique<FakeSession>(*bridge, clock);
    session->Connect();
    ASSERT_FALSE(session->Ask().settled);
  }
  void Throw(SwitchPosition position) {
    SwitchState state;
    state.position = position;
    state.reason = "why";
    ASSERT_TRUE(bridge->policy_switch().Set(std::move(state)).ok());
  }
  void ExpectKeptBy(DefaultCause cause) {
    EXPECT_FALSE(session->Settle());
    EXPECT_EQ(Count(Status("p"), cause), 1u);
    EXPECT_EQ(Count(Status("p"), DefaultCause::kTimeout), 0u);
    EXPECT_EQ(Status("p").answered, 0u);
    EXPECT_TRUE(control.requests.empty());
    ExpectBalance();
  }
  Client client;
  std::unique_ptr<FakeSession> session;
};

TEST_F(OpenSwitchTest, AnAnswerIsTooLateOnceForceKeepIsThrown) {
  Throw(SwitchPosition::kForceKeep);
  const VerdictResult result = client.Answer(*session, 1, Decision::kShutdown);
  EXPECT_EQ(result.status, VerdictStatus::kLate);
  EXPECT_EQ(result.detail, "does not count: the kill switch is thrown");
  EXPECT_EQ(session->woken.load(), 1);
  ExpectKeptBy(DefaultCause::kForcedKeep);
}

TEST_F(OpenSwitchTest, AnAnswerIsTooLateOnceTheProviderIsOff) {
  Throw(SwitchPosition::kOff);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kLate);
  ExpectKeptBy(DefaultCause::kSwitchedOff);
}

TEST_F(OpenSwitchTest, TheDefaultAtTheDeadlineIsKeep) {
  Throw(SwitchPosition::kForceKeep);
  clock.Advance(absl::Milliseconds(100));
  ExpectKeptBy(DefaultCause::kForcedKeep);
}

TEST_F(OpenSwitchTest, SoIsThatOfAClientThatGoesOrAnswersInvalidly) {
  Throw(SwitchPosition::kForceKeep);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kUnspecified).status, VerdictStatus::kDenied);
  ExpectKeptBy(DefaultCause::kForcedKeep);
  Throw(SwitchPosition::kOn);
  ASSERT_FALSE(session->Ask().settled);
  Throw(SwitchPosition::kForceKeep);
  client.session.reset();
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("p"), DefaultCause::kForcedKeep), 2u);
}

TEST_F(OpenSwitchTest, WhatIsSaidOfTheConnectionOrItsScopeWaitsForTheSwitch) {
  Throw(SwitchPosition::kForceKeep);
  const VerdictResult stored = client.Stand(*session, Decision::kShutdown);
  EXPECT_EQ(stored.status, VerdictStatus::kStored);
  EXPECT_EQ(stored.detail, "does not count: the kill switch is thrown");
  ExpectKeptBy(DefaultCause::kForcedKeep);
  Throw(SwitchPosition::kOn);
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_TRUE(session->Settle());
}

TEST_F(OpenSwitchTest, RecyclingEndsNothing) {
  Throw(SwitchPosition::kForceKeep);
  EXPECT_EQ(client.Send(Recycle("*")).status, VerdictStatus::kStored);
  ExpectKeptBy(DefaultCause::kForcedKeep);
}

}  // namespace
}  // namespace postern::bridge

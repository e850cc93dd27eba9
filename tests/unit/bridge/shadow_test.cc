// Shadow mode: what is decided is what would be decided without it.
#include "tests/unit/bridge/scope_fixture.h"

namespace postern::bridge {
namespace {

class ShadowTest : public ScopeTest {
 protected:
  AttachRequest ShadowRequest(std::string name) {
    AttachRequest request = Request(std::move(name));
    request.shadow = true;
    return request;
  }
};

TEST_F(ShadowTest, AShadowIsAskedAndComparedAndNeverWaitedFor) {
  Client shade = Attach(ShadowRequest("shade"));
  Client real = Attach("real");
  FakeSession session(*bridge, clock);
  session.Connect();
  EXPECT_FALSE(session.Ask().settled);
  EXPECT_EQ(shade.Answer(session, 1, Decision::kShutdown).status, VerdictStatus::kStored);
  EXPECT_EQ(session.woken.load(), 0);
  EXPECT_EQ(real.Answer(session, 1, Decision::kKeep).status, VerdictStatus::kApplied);
  EXPECT_EQ(session.woken.load(), 1);
  EXPECT_FALSE(session.Settle());
  EXPECT_EQ(shade.Answer(session, 1, Decision::kKeep).status, VerdictStatus::kDuplicate);
  // The next one is answered after the decision, the one after that never.
  session.Ask();
  real.Answer(session, 2, Decision::kKeep);
  session.Settle();
  EXPECT_EQ(shade.Answer(session, 2, Decision::kKeep).status, VerdictStatus::kStored);
  session.Ask();
  session.Settle();
  session.Close();
  const ProviderStatus status = Status("shade");
  EXPECT_TRUE(status.shadow);
  EXPECT_EQ(status.questions, 0U);
  using Outcomes = std::array<std::uint64_t, kShadowOutcomeCount>;
  EXPECT_EQ(status.shadow_outcomes, (Outcomes{1, 1, 0, 1}));
  ExpectBalance();
}

TEST_F(ShadowTest, AShadowAloneHoldsNobodyUpAndItsStandingVerdictsDoNotCount) {
  Client shade = Attach(ShadowRequest("shade"));
  FakeSession session(*bridge, clock);
  session.Connect();
  EXPECT_TRUE(session.Ask().settled);
  ASSERT_EQ(shade.Take().questions.size(), 1U);
  EXPECT_FALSE(session.Settle());
  EXPECT_EQ(shade.Stand(session, Decision::kShutdown).status, VerdictStatus::kStored);
  EXPECT_EQ(shade.Send(Recycle("*")).status, VerdictStatus::kStored);
  EXPECT_TRUE(control.requests.empty());
  EXPECT_TRUE(session.Ask().settled);
  EXPECT_FALSE(session.Settle());
}

TEST_F(ShadowTest, AShadowUnderANameThatDecidesTakesNoConnectionFromIt) {
  Client real = Attach("p");
  Client shade = Attach(ShadowRequest("p"));
  constexpr std::size_t kSessions = 16;  // too few for the churn guard
  std::vector<std::unique_ptr<FakeSession>> sessions;
  for (std::size_t i = 0; i < kSessions; ++i) {
    sessions.push_back(std::make_unique<FakeSession>(*bridge, clock));
    sessions.back()->Connect();
    ASSERT_FALSE(sessions.back()->Ask().settled);
  }
  const Received told = shade.Take(), asked = real.Take();
  EXPECT_EQ(asked.questions.size(), kSessions);
  EXPECT_EQ(asked.events.size(), kSessions);
  EXPECT_EQ(told.questions.size(), kSessions);
  EXPECT_EQ(told.events.size(), kSessions);
  for (auto& session : sessions) {
    EXPECT_EQ(shade.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kStored);
    EXPECT_EQ(session->woken.load(), 0);
    EXPECT_EQ(real.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kApplied);
    EXPECT_TRUE(session->Settle());
    EXPECT_EQ(real.Stand(*session, Decision::kKeep).status, VerdictStatus::kStored);
  }
  using Outcomes = std::array<std::uint64_t, kShadowOutcomeCount>;
  EXPECT_EQ(Status("p").shadow_outcomes, (Outcomes{0, kSessions, 0, 0}));
  EXPECT_EQ(Status("p").questions, kSessions);
  ExpectBalance();
}

TEST_F(ShadowTest, ItsAnswersDoNotKeepTheBreakerClosed) {
  Client real = Attach("p");
  Client shade = Attach(ShadowRequest("p"));
  FakeSession session(*bridge, clock);
  session.Connect();
  for (std::uint32_t number = 1; number <= 10; ++number) {
    ASSERT_FALSE(session.Ask().settled);
    EXPECT_EQ(shade.Answer(session, number, Decision::kKeep).status, VerdictStatus::kStored);
    clock.Advance(absl::Milliseconds(100));
    session.Settle();
  }
  EXPECT_EQ(Status("p").breaker, ProviderStatus::Breaker::kOpen);
}

TEST_F(ShadowTest, ItsAnswersDoNotCloseABreakerThatIsOpen) {
  Client real = Attach("p");
  Client shade = Attach(ShadowRequest("p"));
  FakeSession session(*bridge, clock);
  session.Connect();
  for (int i = 0; i < 10; ++i) {
    ASSERT_FALSE(session.Ask().settled);
    clock.Advance(absl::Milliseconds(100));
    session.Settle();
  }
  clock.Advance(absl::Seconds(5));
  // The probe is out, and only the one who is probed can answer it.
  ASSERT_FALSE(session.Ask().settled);
  EXPECT_EQ(shade.Answer(session, 11, Decision::kKeep).status, VerdictStatus::kStored);
  EXPECT_EQ(Status("p").breaker, ProviderStatus::Breaker::kHalfOpen);
  session.Settle();
}

TEST_F(ShadowTest, AProviderThatIsExpectedIsNotThereInShadowModeAlone) {
  PolicyOptions options;
  options.providers = {{"p", {}}};
  Start(options);
  AttachRequest request = ShadowRequest("p");
  request.default_verdict = DefaultVerdict::kShutdown;
  Client shade = Attach(std::move(request));
  FakeSession session(*bridge, clock);
  session.Connect();
  EXPECT_TRUE(session.Ask().settled);
  EXPECT_EQ(shade.Take().questions.size(), 1u);
  EXPECT_FALSE(session.Settle()) << "what a shadow asks for as its default is not used";
  EXPECT_EQ(Count(Status("p"), DefaultCause::kNoSubscriber), 1u);
  options.providers[0].rule.verdict = DefaultVerdict::kShutdown;
  bridge->SetPolicy(options);
  EXPECT_TRUE(session.Ask().settled);
  EXPECT_TRUE(session.Settle()) << "as it would be without the shadow";
  ExpectBalance();
}

TEST_F(ShadowTest, ListProvidersShowsWhoseWordCountsFirst) {
  AttachRequest request = Request("p");
  request.filter.domains = {"a.example"};
  request.priority = 7;
  Client real = Attach(std::move(request));
  request = ShadowRequest("p");
  request.filter.domains = {"*"};
  Client shade = Attach(std::move(request));
  ProviderStatus status = Status("p");
  EXPECT_FALSE(status.shadow);
  EXPECT_EQ(status.priority, 7);
  EXPECT_EQ(status.filter.domains, std::vector<std::string>{"a.example"});
  EXPECT_EQ(status.streams.size(), 2u);
  FakeSession session(*bridge, clock);
  session.Connect();
  session.Ask();
  clock.Advance(absl::Milliseconds(2));
  real.Answer(session, 1, Decision::kKeep);
  clock.Advance(absl::Milliseconds(50));
  shade.Answer(session, 1, Decision::kKeep);
  session.Settle();
  status = Status("p");
  EXPECT_EQ(status.answered, 1u);
  EXPECT_EQ(status.answer_time, absl::Milliseconds(2));
  EXPECT_EQ(status.slowest_answer, absl::Milliseconds(2));
  real.session.reset();
  status = Status("p");
  EXPECT_TRUE(status.shadow);
  EXPECT_EQ(status.filter.domains, std::vector<std::string>{"*"});
  EXPECT_EQ(status.streams.size(), 1u);
  shade.session.reset();
  EXPECT_TRUE(Status("p").shadow) << "as attached last";
}

TEST_F(ShadowTest, OnlyTheShadowThatWasAskedMayAnswer) {
  Client first = Attach(ShadowRequest("p")), second = Attach(ShadowRequest("p"));
  FakeSession session(*bridge, clock);
  session.Connect();
  session.Ask();
  session.Settle();
  const bool first_was_asked = !first.Take().questions.empty();
  EXPECT_NE(first_was_asked, !second.Take().questions.empty());
  Client& asked = first_was_asked ? first : second;
  Client& other = first_was_asked ? second : first;
  EXPECT_EQ(other.Answer(session, 1, Decision::kKeep).status, VerdictStatus::kStale);
  EXPECT_EQ(asked.Answer(session, 1, Decision::kKeep).status, VerdictStatus::kStored);
}

}  // namespace
}  // namespace postern::bridge

// Verdicts for scopes, verdicts without a stream, the kill switch, and rules that change.
#include "tests/unit/bridge/scope_fixture.h"

namespace postern::bridge {
namespace {

TEST_F(ScopeTest, RecycleEndsWhatIsOpenOnceAndNothingLater) {
  Client client = Attach("p");
  FakeSession open(*bridge, clock, "a.example"), other(*bridge, clock, "b.example");
  open.Connect();
  other.Connect();
  clock.Advance(absl::Seconds(1));
  const VerdictResult result = client.Send(Recycle("a.example"));
  EXPECT_EQ(result.status, VerdictStatus::kApplied);
  EXPECT_EQ(result.detail, "ends 1 connections");
  ASSERT_EQ(control.requests.size(), 1U);
  EXPECT_EQ(control.requests[0].first, open.info.id);
  EXPECT_EQ(control.requests[0].second.reason, "scope");
  // A transaction that was open ends with the same word, without a question.
  EXPECT_TRUE(open.Ask().settled);
  EXPECT_TRUE(open.Settle());
  clock.Advance(absl::Seconds(1));
  FakeSession later(*bridge, clock, "a.example");
  later.Connect();
  EXPECT_FALSE(later.Ask().settled);
  EXPECT_EQ(client.Answer(later, 1, Decision::kKeep).status, VerdictStatus::kApplied);
  EXPECT_FALSE(later.Settle());
  ExpectBalance();
}

TEST_F(ScopeTest, ARuleHoldsForEachConnectionAndNobodyIsAsked) {
  Client client = Attach("p");
  EXPECT_EQ(client.Send(AfterDeliveries("*.example", 2)).status, VerdictStatus::kStored);
  for (int i = 0; i < 2; ++i) {
    FakeSession session(*bridge, clock, "a.example");
    session.Connect();
    EXPECT_TRUE(session.Ask().settled);
    EXPECT_FALSE(session.Settle());
    EXPECT_TRUE(session.Ask().settled);
    EXPECT_TRUE(session.Settle());
    session.Close();
  }
  EXPECT_TRUE(client.Take().questions.empty());
  ExpectBalance();
}

TEST_F(ScopeTest, TheMostSpecificOneHoldsAndTheConnectionsOwnWordBeforeIt) {
  Client client = Attach("p");
  client.Send(AfterDeliveries("*", 1));
  client.Send(AfterDeliveries("a.example", 3));
  FakeSession session(*bridge, clock, "a.example");
  session.Connect();
  session.Ask();
  EXPECT_FALSE(session.Settle());
  client.Stand(session, Decision::kShutdown, 2);
  session.Ask();
  EXPECT_TRUE(session.Settle());
  FakeSession wide(*bridge, clock, "b.test");
  wide.Connect();
  wide.Ask();
  EXPECT_TRUE(wide.Settle());
}

TEST_F(ScopeTest, ARuleForTheBindingGoesBeforeOneForAll) {
  Verdict narrow = AfterDeliveries("a.example", 5);
  std::get<ScopeTarget>(narrow.target).binding = "news";
  Post(std::move(narrow));
  Post(AfterDeliveries("a.example", 1));
  FakeSession news(*bridge, clock, "a.example", "news"), other(*bridge, clock, "a.example");
  news.Connect();
  other.Connect();
  news.Ask();
  EXPECT_FALSE(news.Settle());
  other.Ask();
  EXPECT_TRUE(other.Settle());
}

TEST_F(ScopeTest, AHigherRevisionReplacesAndAnotherIsStale) {
  Client client = Attach("p");
  EXPECT_EQ(client.Send(AfterDeliveries("a.example", 1, 7)).status, VerdictStatus::kStored);
  EXPECT_EQ(client.Send(AfterDeliveries("a.example", 9, 7)).status, VerdictStatus::kStale);
  Verdict withdrawn = Scope("a.example", 8);
  withdrawn.decision = Decision::kAbstain;
  std::get<ScopeTarget>(withdrawn.target).after_deliveries = 1;
  EXPECT_EQ(client.Send(withdrawn).status, VerdictStatus::kStored);
  EXPECT_EQ(client.Send(AfterDeliveries("a.example", 1, 8)).status, VerdictStatus::kStale);
  FakeSession session(*bridge, clock, "a.example");
  session.Connect();
  EXPECT_FALSE(session.Ask().settled);
  session.Settle();
}

TEST_F(ScopeTest, OnlyAnEndNeedsARule) {
  Client client = Attach("p");
  AttachRequest request = Request("s");
  request.shadow = true;
  Client shadow = Attach(std::move(request));
  for (Client* each : {&client, &shadow}) {
    const VerdictResult denied = each->Send(Scope("a.example", 1));
    EXPECT_EQ(denied.status, VerdictStatus::kDenied);
    EXPECT_EQ(denied.detail, "scope.rule: must be set");
  }
  client.Send(AfterDeliveries("a.example", 1, 1));
  Verdict withdrawn = Scope("a.example", 2);
  withdrawn.decision = Decision::kAbstain;
  EXPECT_EQ(client.Send(withdrawn).detail, "withdrawn");
  FakeSession session(*bridge, clock, "a.example");
  session.Connect();
  EXPECT_FALSE(session.Ask().settled);
  session.Settle();
}

TEST_F(ScopeTest, RecyclingEndsAllThatIsOpenHoweverFewTheyDelivered) {
  Client client = Attach("p");
  std::vector<std::unique_ptr<FakeSession>> sessions;
  for (int i = 0; i < 30; ++i) {
    sessions.push_back(std::make_unique<FakeSession>(*bridge, clock));
    sessions.back()->Connect();
  }
  for (std::size_t i = 0; i < 5; ++i) ASSERT_FALSE(sessions[i]->Ask().settled);
  EXPECT_EQ(client.Send(Recycle("*")).detail, "ends 30 connections");
  EXPECT_EQ(control.requests.size(), 25u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(sessions[i]->Settle());
  // In a transaction when it came.
  EXPECT_TRUE(sessions[10]->Ask().settled);
  EXPECT_TRUE(sessions[10]->Settle());
  EXPECT_FALSE(Status("p").shutdowns_suppressed);
  ExpectBalance();
}

TEST_F(ScopeTest, WhatIsStoredForAProviderThatIsNotHeededSaysSo) {
  Client client = Attach("p");
  for (int i = 0; i < 20; ++i) {
    FakeSession session(*bridge, clock);
    session.Connect();
    session.Ask();
    client.Answer(session, 1, Decision::kShutdown);
    session.Settle();
    session.Close();
  }
  ASSERT_TRUE(Status("p").shutdowns_suppressed);
  const auto expect_not_heeded = [](const VerdictResult& result) {
    EXPECT_EQ(result.status, VerdictStatus::kStored);
    EXPECT_EQ(result.detail.find("SHUTDOWN does not count"), 0u) << result.detail;
  };
  FakeSession session(*bridge, clock);
  session.Connect();
  expect_not_heeded(client.Send(AfterDeliveries("*", 1)));
  expect_not_heeded(client.Stand(session, Decision::kShutdown));
  expect_not_heeded(client.Stand(session, Decision::kShutdown, 7));
  EXPECT_EQ(client.Stand(session, Decision::kAbstain).detail, "withdrawn");
  EXPECT_TRUE(control.requests.empty());
  EXPECT_EQ(client.Send(Recycle("nobody.test")).detail, "");
  EXPECT_EQ(client.Send(Recycle("a.example")).detail, "ends 1 connections") << "it cannot churn";
}

TEST_F(ScopeTest, ItEndsWithItsTimeAndSurvivesTheStream) {
  Client client = Attach("p");
  client.Send(AfterDeliveries("a.example", 1));
  client.session.reset();
  FakeSession session(*bridge, clock, "a.example");
  session.Connect();
  session.Ask();
  EXPECT_TRUE(session.Settle());
  EXPECT_EQ(Status("p").scopes, 1U);
  clock.Advance(absl::Seconds(61));
  FakeSession later(*bridge, clock, "a.example");
  later.Connect();
  EXPECT_TRUE(later.Ask().settled);
  EXPECT_FALSE(later.Settle());
  EXPECT_EQ(Status("p").scopes, 0U);
  ExpectBalance();
}

TEST_F(ScopeTest, ItDoesNotReachBeyondTheFilterOfItsStream) {
  AttachRequest request = Request("p");
  request.filter.domains = {"a.example"};
  Client client = Attach(std::move(request));
  client.Send(AfterDeliveries("*", 1));
  FakeSession mine(*bridge, clock, "a.example"), other(*bridge, clock, "b.example");
  mine.Connect();
  other.Connect();
  mine.Ask();
  EXPECT_TRUE(mine.Settle());
  other.Ask();
  EXPECT_FALSE(other.Settle());
}

TEST_F(ScopeTest, AnOpenQuestionIsAnsweredByIt) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock, "a.example");
  session.Connect();
  EXPECT_FALSE(session.Ask().settled);
  const VerdictResult result = client.Send(Recycle("*"));
  EXPECT_EQ(result.status, VerdictStatus::kApplied);
  EXPECT_EQ(result.detail, "ends 1 connections");
  EXPECT_EQ(session.woken.load(), 1);
  EXPECT_TRUE(session.Settle());
  ExpectBalance();
}

TEST_F(ScopeTest, TenThousandRulesAreTheLimit) {
  for (std::size_t i = 0; i < ScopeTable::kMostRules; ++i) {
    ASSERT_EQ(Post(AfterDeliveries(absl::StrCat("d", i, ".test"), 1)).status,
              VerdictStatus::kStored);
  }
  EXPECT_EQ(Post(AfterDeliveries("more.test", 1)).status, VerdictStatus::kLimit);
  EXPECT_EQ(Post(AfterDeliveries("d0.test", 2, 2)).status, VerdictStatus::kStored);
  EXPECT_EQ(Post(AfterDeliveries("more.test", 1), "q").status, VerdictStatus::kStored);
  clock.Advance(absl::Seconds(61));
  EXPECT_EQ(Post(AfterDeliveries("more.test", 1)).status, VerdictStatus::kStored);
}

TEST_F(ScopeTest, WhatIsKeptHoldsInTheNextProcessForTheRestOfItsTime) {
  Post(AfterDeliveries("a.example", 1, 4));
  ScopeTable::Kept kept;
  ASSERT_TRUE(
      bridge->SaveScopes([](const auto&) { return absl::UnavailableError("full"); }).code() ==
      absl::StatusCode::kUnavailable);
  ASSERT_TRUE(bridge
                  ->SaveScopes([&](const auto& rules) {
                    kept = rules;
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_EQ(kept.size(), 1U);
  clock.Advance(absl::Seconds(50));
  Start();
  bridge->RestoreScope(kept[0].first, kept[0].second);
  FakeSession session(*bridge, clock, "a.example");
  session.Connect();
  session.Ask();
  EXPECT_TRUE(session.Settle());
  EXPECT_EQ(Post(AfterDeliveries("a.example", 1, 4)).status, VerdictStatus::kStale);
  clock.Advance(absl::Seconds(11));
  EXPECT_EQ(Status("p").scopes, 0U);
}

TEST_F(ScopeTest, PostedVerdictsAreForConnectionsAndScopesOnly) {
  FakeSession session(*bridge, clock, "a.example");
  session.Connect();
  Verdict verdict;
  verdict.decision = Decision::kShutdown;
  verdict.target = QuestionTarget{session.info.id, 1};
  EXPECT_EQ(Post(verdict).status, VerdictStatus::kDenied);
  verdict.target = ConnectionTarget{base::NewId(clock.Now())};
  EXPECT_EQ(Post(verdict).status, VerdictStatus::kUnknown);
  verdict.target = ConnectionTarget{session.info.id};
  EXPECT_EQ(Post(verdict).status, VerdictStatus::kApplied);
  ASSERT_EQ(control.requests.size(), 1U);
  EXPECT_EQ(control.requests[0].second.provider, "p");
  Verdict keep = AfterDeliveries("*", 1);
  keep.decision = Decision::kKeep;
  EXPECT_EQ(Post(keep).status, VerdictStatus::kDenied);
  Filter within;
  within.domains = {"b.example"};
  verdict.target = ConnectionTarget{session.info.id};
  verdict.verdict_id = 1;
  EXPECT_EQ(bridge->PostVerdicts("p", "me", within, {verdict})->front().status,
            VerdictStatus::kDenied);
  EXPECT_FALSE(bridge->PostVerdicts("No Name", "me", {}, {}).ok());
}

// ---- the kill switch ----

SwitchState Switch(SwitchPosition position, std::string provider = "") {
  SwitchState state;
  state.provider = std::move(provider);
  state.position = position;
  state.reason = "why";
  return state;
}

TEST_F(ScopeTest, TheStricterSwitchHolds) {
  PolicySwitch& policy_switch = bridge->policy_switch();
  ASSERT_TRUE(policy_switch.Set(Switch(SwitchPosition::kForceKeep, "p")).ok());
  ASSERT_TRUE(policy_switch.Set(Switch(SwitchPosition::kOff)).ok());
  EXPECT_EQ(policy_switch.For("p"), SwitchPosition::kForceKeep);
  EXPECT_EQ(policy_switch.For("q"), SwitchPosition::kOff);
  ASSERT_TRUE(policy_switch.Set(Switch(SwitchPosition::kOn, "p")).ok());
  EXPECT_EQ(policy_switch.For("p"), SwitchPosition::kOff);
  policy_switch.SetFile("/f");
  ASSERT_TRUE(policy_switch.Set(Switch(SwitchPosition::kOn)).ok());
  EXPECT_EQ(policy_switch.For("p"), SwitchPosition::kOff);
  policy_switch.SetFile("");
  EXPECT_EQ(policy_switch.For("p"), SwitchPosition::kOn);
}

TEST_F(ScopeTest, OffTakesTheDefaultAndForceKeepNever) {
  PolicyOptions options;
  options.defaults.verdict = DefaultVerdict::kShutdown;
  Start(options);
  Client client = Attach("p");
  ASSERT_TRUE(bridge->policy_switch().Set(Switch(SwitchPosition::kOff)).ok());
  FakeSession session(*bridge, clock);
  session.Connect();
  EXPECT_TRUE(session.Ask().settled);
  EXPECT_TRUE(session.Settle());
  ASSERT_TRUE(bridge->policy_switch().Set(Switch(SwitchPosition::kForceKeep)).ok());
  EXPECT_TRUE(session.Ask().settled);
  EXPECT_FALSE(session.Settle());
  EXPECT_EQ(Count(Status("p"), DefaultCause::kSwitchedOff), 1U);
  EXPECT_EQ(Count(Status("p"), DefaultCause::kForcedKeep), 1U);
  EXPECT_EQ(client.Stand(session, Decision::kShutdown).status, VerdictStatus::kStored);
  EXPECT_TRUE(control.requests.empty());
  ExpectBalance();
}

TEST_F(ScopeTest, ASwitchThatCannotBeKeptIsNotThrown) {
  bridge->policy_switch().Restore({}, [](const auto&) { return absl::UnavailableError("full"); });
  EXPECT_FALSE(bridge->policy_switch().Set(Switch(SwitchPosition::kOff)).ok());
  EXPECT_EQ(bridge->policy_switch().For("p"), SwitchPosition::kOn);
}

// ---- other rules ----

TEST_F(ScopeTest, NewRulesHoldFromTheNextQuestionOn) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  EXPECT_EQ(session.Ask().deadline, clock.Steady() + absl::Milliseconds(100));
  session.Settle();
  PolicyOptions options;
  options.timeout = absl::Milliseconds(30);
  options.providers = {{"missing", {DefaultVerdict::kShutdown, {}}}};
  bridge->SetPolicy(options);
  // The provider that is expected now is not there, and its default ends the session.
  EXPECT_TRUE(session.Ask().settled);
  EXPECT_TRUE(session.Settle());
  options.providers.clear();
  bridge->SetPolicy(options);
  EXPECT_EQ(session.Ask().deadline, clock.Steady() + absl::Milliseconds(30));
  session.Settle();
}

}  // namespace
}  // namespace postern::bridge

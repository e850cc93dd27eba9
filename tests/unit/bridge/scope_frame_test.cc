// Rules for scopes that come together: what they share, and how they reach what is open.
#include "server/bridge/provider.h"
#include "tests/unit/bridge/scope_fixture.h"

namespace postern::bridge {
namespace {

class ScopeFrameTest : public ScopeTest {};

TEST_F(ScopeFrameTest, RulesOfAStreamOrACallShareItsFilter) {
  AttachRequest request = Request("p");
  request.filter.domains = {"a.example", "*.b.example"};
  ScopeTable::Kept kept;
  {
    Client client = Attach(std::move(request));
    client.Send(AfterDeliveries("a.example", 1));
    client.Send(AfterDeliveries("*", 1));
    kept = Kept();
    ASSERT_EQ(kept.size(), 2u);
    ASSERT_NE(kept[0].second.within, nullptr);
    EXPECT_EQ(kept[0].second.within, kept[1].second.within);
  }
  kept.clear();
  Start();
  PostAll({AfterDeliveries("a.example", 1), AfterDeliveries("b.example", 1)});
  kept = Kept();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].second.within, kept[1].second.within);
}

TEST_F(ScopeFrameTest, EqualFiltersOfDifferentCallsAndStreamsAreOne) {
  Filter within;
  within.domains = {"a.example"};
  for (const char* domain : {"a.example", "*"}) {
    Verdict verdict = AfterDeliveries(domain, 1);
    verdict.verdict_id = 1;
    ASSERT_TRUE(bridge->PostVerdicts("p", "me", within, {std::move(verdict)}).ok());
  }
  AttachRequest request = Request("q");
  request.filter = within;
  Attach(std::move(request)).Send(AfterDeliveries("*", 1));
  Post(AfterDeliveries("*", 1), "r");
  ScopeTable::Kept kept = Kept();
  ASSERT_EQ(kept.size(), 4u);
  EXPECT_EQ(kept[0].second.within, kept[1].second.within);
  EXPECT_EQ(kept[0].second.within, kept[2].second.within);
  EXPECT_NE(kept[0].second.within, kept[3].second.within);
  const std::weak_ptr<const Matcher> memory = kept[0].second.within;
  kept.clear();
  Kept();
  EXPECT_FALSE(memory.expired());
  clock.Advance(absl::Minutes(1));
  Kept();
  EXPECT_TRUE(memory.expired());
}

TEST_F(ScopeFrameTest, SavingForgetsWhatIsOverEvenIfNothingElseHasChanged) {
  ScopeTable table(clock);
  const auto provider = std::make_shared<Provider>("p", PolicyOptions(), registry.get());
  auto rule = std::make_shared<ScopeRule>();
  rule->target = std::get<ScopeTarget>(AfterDeliveries("a.example", 1).target);
  const std::weak_ptr<const ScopeRule> memory = rule;
  ASSERT_EQ(table.Put(provider, std::move(rule)), VerdictStatus::kStored);
  int saves = 0;
  const auto save = [&saves](const auto&) {
    ++saves;
    return absl::OkStatus();
  };
  ASSERT_TRUE(table.Save(save).ok());
  clock.Advance(absl::Seconds(59));
  ASSERT_TRUE(table.Save(save).ok());
  EXPECT_FALSE(memory.expired());
  EXPECT_EQ(table.Providers().size(), 1u);
  clock.Advance(absl::Seconds(1));
  ASSERT_TRUE(table.Save(save).ok());
  EXPECT_TRUE(memory.expired());
  EXPECT_TRUE(table.Providers().empty());
  EXPECT_EQ(provider.use_count(), 1);
  EXPECT_EQ(saves, 1);
}

TEST_F(ScopeFrameTest, EachConnectionIsEndedOnceHoweverManyRulesOfAFrameConcernIt) {
  Client client = Attach("p");
  FakeSession a(*bridge, clock, "a.example"), b(*bridge, clock, "b.example"),
      c(*bridge, clock, "c.test"), d(*bridge, clock, "d.test", "news");
  for (FakeSession* session : {&a, &b, &c, &d}) session->Connect();
  Verdict news = Recycle("*");
  std::get<ScopeTarget>(news.target).binding = "news";
  const auto results = SendAll(client, {Recycle("*"), Recycle("*.example"), Recycle("a.example"),
                                        std::move(news), Recycle("nobody.test")});
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(control.requests.size(), 4u);
  for (const std::size_t applied : {0u, 1u, 2u, 3u}) {
    EXPECT_EQ(results[applied].status, VerdictStatus::kApplied) << applied;
  }
  EXPECT_EQ(results[0].detail, "ends 4 connections");
  EXPECT_EQ(results[1].detail, "ends 2 connections");
  EXPECT_EQ(results[2].detail, "ends 1 connections");
  EXPECT_EQ(results[3].detail, "ends 1 connections");
  EXPECT_EQ(results[4].status, VerdictStatus::kStored);
  EXPECT_EQ(results[4].detail, "");
}

TEST_F(ScopeFrameTest, AFrameFullOfRulesReachesAllThatIsOpen) {
  constexpr int kSessions = 200;
  std::vector<std::unique_ptr<FakeSession>> sessions;
  std::vector<Verdict> verdicts;
  for (int i = 0; i < kSessions; ++i) {
    sessions.push_back(
        std::make_unique<FakeSession>(*bridge, clock, absl::StrCat("d", i, ".test")));
    FakeSession& session = *sessions.back();
    session.Connect();
    // Enough for its end to be no churn.
    session.report.disposition = mail::Disposition::kDelivered;
    for (int n = 0; n < 5; ++n) bridge->OnDeliveryAttempt(session.info, session.report);
  }
  for (std::size_t i = 0; i < ScopeTable::kMostRules; ++i) {
    verdicts.push_back(Recycle(absl::StrCat("d", i, ".test")));
  }
  std::size_t applied = 0;
  for (const VerdictResult& result : PostAll(std::move(verdicts))) {
    if (result.status == VerdictStatus::kApplied) ++applied;
  }
  EXPECT_EQ(applied, std::size_t{kSessions});
  EXPECT_EQ(control.requests.size(), std::size_t{kSessions});
}

TEST_F(ScopeFrameTest, ARecyclingRuleReachesWhatIsOpenEvenIfTheNextVerdictReplacesIt) {
  Client client = Attach("p");
  FakeSession idle(*bridge, clock), asked(*bridge, clock);
  idle.Connect();
  asked.Connect();
  EXPECT_FALSE(asked.Ask().settled);
  const auto results =
      SendAll(client, {Recycle("a.example", 1), AfterDeliveries("a.example", 2, 2)});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].detail, "ends 2 connections");
  EXPECT_EQ(results[1].status, VerdictStatus::kStored);
  ASSERT_EQ(control.requests.size(), 1u);
  EXPECT_EQ(control.requests[0].first, idle.info.id);
  EXPECT_EQ(asked.woken.load(), 1);
  EXPECT_TRUE(asked.Settle());
  clock.Advance(absl::Seconds(1));
  FakeSession later(*bridge, clock);
  later.Connect();
  EXPECT_TRUE(later.Ask().settled);
  EXPECT_FALSE(later.Settle());
  later.Ask();
  EXPECT_TRUE(later.Settle());
  ExpectBalance();
}

TEST_F(ScopeFrameTest, ANarrowerRuleAndTheConnectionsOwnWordSpareItWhateverTheOrder) {
  Client client = Attach("p");
  FakeSession ruled(*bridge, clock, "a.example"), kept(*bridge, clock, "b.example"),
      other(*bridge, clock, "c.example");
  for (FakeSession* session : {&ruled, &kept, &other}) session->Connect();
  client.Send(AfterDeliveries("a.example", 5));
  const auto results = SendAll(client, {Recycle("*"), ForConnection(kept, Decision::kKeep)});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].detail, "ends 1 connections");
  ASSERT_EQ(control.requests.size(), 1u);
  EXPECT_EQ(control.requests[0].first, other.info.id);
}

TEST_F(ScopeFrameTest, ARuleEndsWhatIsDueAlreadyAndOneThatIsWithdrawnDoesNot) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  ASSERT_FALSE(session.Ask().settled);
  client.Answer(session, 1, Decision::kKeep);
  session.Settle();
  Verdict withdrawn = AfterDeliveries("a.example", 1, 2);
  withdrawn.decision = Decision::kAbstain;
  auto results = SendAll(client, {AfterDeliveries("a.example", 1, 1), withdrawn});
  EXPECT_EQ(results.at(0).status, VerdictStatus::kStored);
  EXPECT_EQ(results.at(1).detail, "withdrawn");
  EXPECT_TRUE(control.requests.empty());
  results = SendAll(client, {AfterDeliveries("a.example", 9, 3), AfterDeliveries("*", 1, 1),
                             AfterDeliveries("a.example", 1, 4)});
  EXPECT_EQ(results.at(0).status, VerdictStatus::kStored);
  EXPECT_EQ(results.at(1).status, VerdictStatus::kStored);
  EXPECT_EQ(results.at(2).detail, "ends 1 connections");
  EXPECT_EQ(control.requests.size(), 1u);
}

TEST_F(ScopeFrameTest, NothingOutsideOfTheFilterIsReached) {
  AttachRequest request = Request("p");
  request.filter.domains = {"a.example"};
  Client client = Attach(std::move(request));
  FakeSession mine(*bridge, clock, "a.example"), other(*bridge, clock, "b.example");
  mine.Connect();
  other.Connect();
  EXPECT_EQ(client.Send(Recycle("*")).detail, "ends 1 connections");
  ASSERT_EQ(control.requests.size(), 1u);
  EXPECT_EQ(control.requests[0].first, mine.info.id);
}

}  // namespace
}  // namespace postern::bridge

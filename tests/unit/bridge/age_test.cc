// Verdicts with an age: sessions that idle are ended when they have reached it.
#include "server/bridge/provider.h"
#include "tests/unit/bridge/scope_fixture.h"

namespace postern::bridge {
namespace {

class AgeTest : public ScopeTest {
 protected:
  static Verdict AfterAge(std::string domain, absl::Duration age, std::uint64_t revision = 1) {
    Verdict verdict = Scope(std::move(domain), revision);
    std::get<ScopeTarget>(verdict.target).after_age = age;
    return verdict;
  }
  std::size_t Ended() {
    bridge->EndAged();
    return control.requests.size();
  }
};

TEST_F(AgeTest, AnIdleConnectionEndsWhenItIsAsOldAsWasSaidOfIt) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock), other(*bridge, clock);
  session.Connect();
  other.Connect();
  EXPECT_EQ(client.Stand(session, Decision::kShutdown, 0, absl::Seconds(10)).status,
            VerdictStatus::kStored);
  clock.Advance(absl::Seconds(9));
  EXPECT_EQ(Ended(), 0u);
  clock.Advance(absl::Seconds(1));
  ASSERT_EQ(Ended(), 1u);
  EXPECT_EQ(control.requests[0].first, session.info.id);
  EXPECT_EQ(control.requests[0].second.provider, "p");
  EXPECT_EQ(control.requests[0].second.reason, "standing");
  EXPECT_EQ(Ended(), 1u) << "a session is told once";
}

TEST_F(AgeTest, WhoWasSparedByAWithdrawalIsEndedWhenItIsSaidAgain) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  client.Stand(session, Decision::kShutdown, 0, absl::Seconds(10));
  clock.Advance(absl::Seconds(10));
  ASSERT_EQ(Ended(), 1u) << "it is in a transaction";
  client.Stand(session, Decision::kAbstain);
  session.Ask();
  EXPECT_FALSE(session.Settle()) << "and lives on";
  client.Stand(session, Decision::kShutdown, 0, absl::Seconds(20));
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(Ended(), 2u);
}

TEST_F(AgeTest, SoDoThoseOfAScopeUnlessTheirOwnWordHolds) {
  Client client = Attach("p");
  FakeSession old(*bridge, clock, "a.example"), kept(*bridge, clock, "a.example"),
      other(*bridge, clock, "b.example");
  for (FakeSession* session : {&old, &kept, &other}) session->Connect();
  client.Stand(kept, Decision::kKeep);
  EXPECT_EQ(client.Send(AfterAge("a.example", absl::Seconds(10))).status, VerdictStatus::kStored);
  clock.Advance(absl::Seconds(5));
  FakeSession young(*bridge, clock, "a.example");
  young.Connect();
  clock.Advance(absl::Seconds(5));
  ASSERT_EQ(Ended(), 1u);
  EXPECT_EQ(control.requests[0].first, old.info.id);
  clock.Advance(absl::Seconds(5));
  ASSERT_EQ(Ended(), 2u);
  EXPECT_EQ(control.requests[1].first, young.info.id);
}

TEST_F(AgeTest, WhatWasWithdrawnOrIsOverEndsNothing) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  client.Stand(session, Decision::kShutdown, 0, absl::Seconds(70));
  client.Stand(session, Decision::kAbstain);
  client.Send(AfterAge("*", absl::Seconds(70)));
  clock.Advance(absl::Seconds(70));
  EXPECT_EQ(Ended(), 0u);
}

TEST_F(AgeTest, AQuestionThatIsOpenIsDecidedFirst) {
  Client client = Attach("p"), asked = Attach("q");
  FakeSession session(*bridge, clock);
  session.Connect();
  client.Stand(session, Decision::kShutdown, 0, absl::Milliseconds(50));
  ASSERT_FALSE(session.Ask().settled);
  clock.Advance(absl::Milliseconds(60));
  EXPECT_EQ(Ended(), 0u);
  asked.Answer(session, 1, Decision::kKeep);
  EXPECT_EQ(Ended(), 0u);
  EXPECT_FALSE(session.Settle());
  EXPECT_EQ(Ended(), 1u);
}

TEST_F(AgeTest, TheKillSwitchIsHeeded) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  client.Stand(session, Decision::kShutdown, 0, absl::Seconds(1));
  SwitchState off;
  off.position = SwitchPosition::kOff;
  ASSERT_TRUE(bridge->policy_switch().Set(off).ok());
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(Ended(), 0u);
  off.position = SwitchPosition::kOn;
  ASSERT_TRUE(bridge->policy_switch().Set(off).ok());
  EXPECT_EQ(Ended(), 1u);
}

TEST_F(AgeTest, TheTableKnowsWhetherAnyRuleHasAnAge) {
  ScopeTable table(clock);
  const auto provider = std::make_shared<Provider>("p", PolicyOptions(), registry.get());
  const auto put = [&](const Verdict& verdict, absl::Duration ttl = absl::Seconds(60)) {
    auto rule = std::make_shared<ScopeRule>();
    rule->target = std::get<ScopeTarget>(verdict.target);
    rule->target.ttl = ttl;
    rule->decision = verdict.decision;
    EXPECT_EQ(table.Put(provider, std::move(rule)), VerdictStatus::kStored);
    return table.LeastAge();
  };
  EXPECT_EQ(put(AfterDeliveries("a.test", 1)), absl::InfiniteDuration());
  EXPECT_EQ(put(AfterAge("b.test", absl::Seconds(9))), absl::Seconds(9));
  EXPECT_EQ(put(AfterAge("c.test", absl::Seconds(9)), absl::Seconds(90)), absl::Seconds(9));
  EXPECT_EQ(put(AfterAge("d.test", absl::Seconds(5))), absl::Seconds(5));
  EXPECT_EQ(put(AfterDeliveries("d.test", 1, 2)), absl::Seconds(9)) << "replaced";
  Verdict withdrawn = AfterAge("b.test", absl::Seconds(3), 2);
  withdrawn.decision = Decision::kAbstain;
  EXPECT_EQ(put(withdrawn), absl::Seconds(9)) << "the third still has it";
  clock.Advance(absl::Seconds(90));
  table.Expire();
  EXPECT_EQ(table.LeastAge(), absl::InfiniteDuration());
}

}  // namespace
}  // namespace postern::bridge

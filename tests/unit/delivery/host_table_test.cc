// Limits and health: who may open a connection.
#include "tests/unit/delivery/host_table_fixture.h"

namespace postern::delivery {
namespace {

TEST_F(HostTableTest, GrantsUpToTheLimitOfTheHost) {
  const auto first = Ask();
  const auto second = Ask();
  EXPECT_EQ(first.grant, Grant::kGranted);
  EXPECT_EQ(second.grant, Grant::kGranted);
  EXPECT_EQ(Ask().grant, Grant::kHostFull);
  EXPECT_EQ(Ask(kOther).grant, Grant::kGranted);
  EXPECT_EQ(table_.open(), 2U);
}

TEST_F(HostTableTest, GivesThePlaceBackWithThePermit) {
  auto first = Ask();
  const auto second = Ask();
  first.permit.reset();
  EXPECT_EQ(Ask().grant, Grant::kGranted);
}

TEST_F(HostTableTest, CountsTheWholeServer) {
  limits_.server = 1;
  auto first = Ask();
  EXPECT_EQ(Ask(kOther).grant, Grant::kServerFull);
  int woken = 0;
  const auto waiter = Counter(woken);
  const auto waiter_turn = table_.Wait(Grant::kServerFull, {}, limits_, waiter);
  EXPECT_EQ(woken, 0);
  first.permit.reset();
  EXPECT_EQ(woken, 1);
}

TEST_F(HostTableTest, SkipsAHostAfterThreeFailuresInARow) {
  Attempt(HostOutcome::kNoRoute);
  Attempt(HostOutcome::kRefused);
  Attempt(HostOutcome::kNoRoute);
  const auto answer = Ask();
  EXPECT_EQ(answer.grant, Grant::kBackedOff);
  EXPECT_EQ(answer.retry_at, now_ + absl::Seconds(120));
  EXPECT_EQ(Ask(kOther).grant, Grant::kGranted);
  EXPECT_EQ(table_.backed_off(now_), 1U);
}

TEST_F(HostTableTest, SuccessEndsTheRowOfFailures) {
  Attempt(HostOutcome::kNoRoute);
  Attempt(HostOutcome::kNoRoute);
  Attempt(HostOutcome::kReached);
  Attempt(HostOutcome::kNoRoute);
  EXPECT_EQ(Ask().grant, Grant::kGranted);
}

TEST_F(HostTableTest, FaultsOfOursNeverCount) {
  for (int i = 0; i < 10; ++i) Attempt(HostOutcome::kUnknown);
  EXPECT_EQ(Ask().grant, Grant::kGranted);
}

TEST_F(HostTableTest, OneSourceThatIsRefusedDoesNotStopTheOthers) {
  for (int i = 0; i < HostTable::kFailures; ++i) Attempt(HostOutcome::kRefused, kHost, "10.0.0.1");
  for (int i = 0; i < HostTable::kFailures; ++i) Attempt(HostOutcome::kRefused, kHost, "10.0.0.2");
  EXPECT_EQ(Ask(kHost, "10.0.0.1").grant, Grant::kBackedOff);
  EXPECT_EQ(Ask(kHost, "10.0.0.3").grant, Grant::kGranted);
}

TEST_F(HostTableTest, TwoSourcesThatCannotReachItSpeakForAll) {
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.1");
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.2");
  EXPECT_EQ(Ask(kHost, "10.0.0.3").grant, Grant::kBackedOff);
  now_ += absl::Seconds(121);
  EXPECT_EQ(Ask(kHost, "10.0.0.3").grant, Grant::kGranted);
}

TEST_F(HostTableTest, AHostThatWasSkippedForAllRecoversByOneProbeOfAnySource) {
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.1");
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.2");
  now_ += absl::Seconds(121);
  const auto probe = Ask(kHost, "10.0.0.1");
  ASSERT_EQ(probe.grant, Grant::kGranted);
  EXPECT_EQ(Ask(kHost, "10.0.0.1").grant, Grant::kBackedOff);
  EXPECT_EQ(Ask(kHost, "10.0.0.3").grant, Grant::kBackedOff);
  int woken = 0;
  const auto waiter = Counter(woken);
  const auto turn = table_.Wait(Grant::kBackedOff, {kHost}, limits_, waiter);
  probe.permit->Report(HostOutcome::kReached, now_);
  EXPECT_EQ(woken, 1);
  const auto second = Ask(kHost, "10.0.0.3");
  EXPECT_EQ(second.grant, Grant::kGranted);
}

TEST_F(HostTableTest, ASuccessWithinTheMinuteSpeaksAgainstSkippingItForAll) {
  Attempt(HostOutcome::kReached, kHost, "10.0.0.4");
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.1");
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.2");
  EXPECT_EQ(Ask(kHost, "10.0.0.3").grant, Grant::kGranted);
}

TEST_F(HostTableTest, RecoversByOneProbeAndOneMoreForEachSuccess) {
  FailUntilSkipped();
  now_ += absl::Seconds(121);
  auto probe = Ask();
  ASSERT_EQ(probe.grant, Grant::kGranted);
  EXPECT_EQ(Ask().grant, Grant::kBackedOff) << "one probe at a time";
  probe.permit->Report(HostOutcome::kReached, now_);
  const auto second = Ask();
  EXPECT_EQ(second.grant, Grant::kGranted);
  EXPECT_NE(Ask().grant, Grant::kGranted);
}

TEST_F(HostTableTest, SessionsThatWereOpenBeforeItFailedKeepNoProbeAway) {
  limits_.per_host = 10;
  const auto one = Ask();
  auto two = Ask();
  FailUntilSkipped();
  now_ += absl::Seconds(121);
  const auto probe = Ask();
  ASSERT_EQ(probe.grant, Grant::kGranted);
  two.permit.reset();
  EXPECT_EQ(Ask().grant, Grant::kBackedOff) << "one probe at a time, whoever else ends";
  probe.permit->Report(HostOutcome::kReached, now_);
  const auto second = Ask();
  EXPECT_EQ(second.grant, Grant::kGranted);
  EXPECT_EQ(Ask().grant, Grant::kBackedOff);
}

TEST_F(HostTableTest, SessionsThatWereOpenBeforeItWasSkippedForAllKeepNoProbeAway) {
  limits_.per_host = 10;
  const auto open = Ask(kHost, "10.0.0.3");
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.1");
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.2");
  now_ += absl::Seconds(121);
  const auto probe = Ask(kHost, "10.0.0.1");
  ASSERT_EQ(probe.grant, Grant::kGranted);
  EXPECT_EQ(Ask(kHost, "10.0.0.3").grant, Grant::kBackedOff);
}

TEST_F(HostTableTest, AProbeThatFailsSkipsTheHostAgain) {
  FailUntilSkipped();
  now_ += absl::Seconds(121);
  Attempt(HostOutcome::kNoRoute);
  EXPECT_EQ(Ask().grant, Grant::kBackedOff);
}

TEST_F(HostTableTest, ReachingItWakesAllWhoWaitForItsRecovery) {
  FailUntilSkipped();
  int woken = 0;
  const auto first = Counter(woken);
  const auto second = Counter(woken);
  const auto first_turn = table_.Wait(Grant::kBackedOff, {kHost}, limits_, first);
  const auto second_turn = table_.Wait(Grant::kBackedOff, {kHost, kOther}, limits_, second);
  now_ += absl::Seconds(121);
  Attempt(HostOutcome::kNoRoute);
  EXPECT_EQ(woken, 0) << "the end of a probe that failed is no news";
  now_ += absl::Seconds(121);
  Attempt(HostOutcome::kReached);
  EXPECT_EQ(woken, 2);
}

TEST_F(HostTableTest, SessionsFromBeforeASecondBackOffKeepNoProbeAway) {
  limits_.per_host = 32;
  FailUntilSkipped();
  now_ += absl::Seconds(121);
  auto first = Ask();
  first.permit->Report(HostOutcome::kReached, now_);
  auto second = Ask();
  second.permit->Report(HostOutcome::kReached, now_);
  for (int i = 0; i < HostTable::kFailures; ++i) Attempt(HostOutcome::kRefused);
  EXPECT_EQ(Ask().grant, Grant::kBackedOff);
  now_ += absl::Seconds(121);
  EXPECT_EQ(Ask().grant, Grant::kGranted) << "two that go on delivering are no probes";
}

TEST_F(HostTableTest, ASuccessEndsTheBackOffOfItsSource) {
  limits_.per_host = 32;
  auto under_way = Ask();
  FailUntilSkipped();
  EXPECT_EQ(Ask().grant, Grant::kBackedOff);
  under_way.permit->Report(HostOutcome::kReached, now_);
  EXPECT_EQ(Ask().grant, Grant::kGranted);
}

TEST_F(HostTableTest, ASuccessWakesAlsoWhoWaitsForAHostThatWasNeverSkipped) {
  Attempt(HostOutcome::kNoRoute);
  int woken = 0;
  const auto turn = table_.Wait(Grant::kBackedOff, {kHost}, limits_, Counter(woken));
  Attempt(HostOutcome::kReached);
  EXPECT_EQ(woken, 1);
}

TEST_F(HostTableTest, ASuccessOfAnotherSourceIsNoNewsForWhoeverWaits) {
  for (int i = 0; i < HostTable::kFailures; ++i) Attempt(HostOutcome::kRefused, kHost, "10.0.0.1");
  int woken = 0;
  const auto turn = table_.Wait(Grant::kBackedOff, {kHost}, limits_, Counter(woken));
  Attempt(HostOutcome::kReached, kHost, "10.0.0.2");
  Attempt(HostOutcome::kReached, kHost, "10.0.0.2");
  EXPECT_EQ(woken, 0) << "10.0.0.1 may be refused as before";
  now_ += absl::Seconds(121);
  Attempt(HostOutcome::kReached, kHost, "10.0.0.1");
  EXPECT_EQ(woken, 1);
}

TEST_F(HostTableTest, AHostThatIsAwaitedIsNotForgotten) {
  FailUntilSkipped();
  int woken = 0;
  const auto turn = table_.Wait(Grant::kBackedOff, {kHost}, limits_, Counter(woken));
  now_ += absl::Minutes(11);
  for (int i = 0; i < 5000; ++i) Ask(kOther);
  Attempt(HostOutcome::kReached);
  EXPECT_EQ(woken, 1);
}

}  // namespace
}  // namespace postern::delivery

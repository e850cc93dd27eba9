#include "server/delivery/host_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace postern::delivery {
namespace {

using Grant = HostTable::Grant;

const char* const kHost = "192.0.2.1:25";
const char* const kOther = "192.0.2.2:25";

class HostTableTest : public testing::Test {
 protected:
  HostTable::Answer Ask(absl::string_view host = kHost, absl::string_view source = "") {
    return table_.Acquire(source, host, limits_, now_);
  }
  // One attempt that ends as `outcome`.
  void Attempt(HostOutcome outcome, absl::string_view host = kHost, absl::string_view source = "") {
    const HostTable::Answer answer = Ask(host, source);
    ASSERT_EQ(answer.grant, Grant::kGranted);
    answer.permit->Report(outcome, now_);
  }
  void FailUntilSkipped(absl::string_view source = "") {
    for (int i = 0; i < HostTable::kFailures; ++i) Attempt(HostOutcome::kNoRoute, kHost, source);
  }
  std::shared_ptr<HostWaiter> Counter(int& count) {
    return std::make_shared<HostWaiter>([&count] { ++count; });
  }

  absl::Time now_ = absl::UnixEpoch();
  HostTable::Limits limits_{2, 100, absl::Seconds(120)};
  HostTable table_;
};

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

TEST_F(HostTableTest, APlaceThatIsFreedWakesTheFirstWhoWaits) {
  auto one = Ask();
  auto two = Ask();
  int first_woken = 0;
  int second_woken = 0;
  const auto first = Counter(first_woken);
  const auto second = Counter(second_woken);
  const auto first_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, first);
  const auto second_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, second);
  EXPECT_TRUE(one.permit->contended());
  one.permit.reset();
  EXPECT_EQ(first_woken, 1);
  EXPECT_EQ(second_woken, 0);
  two.permit.reset();
  EXPECT_EQ(second_woken, 1);
}

TEST_F(HostTableTest, WhoComesTooLateToWaitIsWokenAtOnce) {
  {
    const auto one = Ask();
    const auto two = Ask();
    ASSERT_EQ(Ask().grant, Grant::kHostFull);
  }
  int woken = 0;
  const auto waiter = Counter(woken);
  const auto waiter_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, waiter);
  EXPECT_EQ(woken, 1);
}

TEST_F(HostTableTest, AWaiterThatIsGoneIsPassedOver) {
  auto one = Ask();
  const auto two = Ask();
  int woken = 0;
  auto gone = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken));
  gone.reset();
  EXPECT_FALSE(two.permit->contended());
  const auto second = Counter(woken);
  const auto second_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, second);
  one.permit.reset();
  EXPECT_EQ(woken, 1);
}

TEST_F(HostTableTest, KeepsThePlaceForWhoWasWoken) {
  auto one = Ask();
  const auto two = Ask();
  int woken = 0;
  const auto turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken));
  EXPECT_FALSE(turn->offered());
  one.permit.reset();
  EXPECT_TRUE(turn->offered());
  EXPECT_EQ(Ask().grant, Grant::kHostFull) << "first come, first served";
  const auto taken = table_.Acquire("", kHost, limits_, now_, turn.get());
  EXPECT_EQ(taken.grant, Grant::kGranted);
}

TEST_F(HostTableTest, APlaceThatIsNotTakenGoesToTheNextWhoWaits) {
  auto one = Ask();
  const auto two = Ask();
  int woken[3] = {};
  auto first = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken[0]));
  auto second = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken[1]));
  const auto third = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken[2]));
  one.permit.reset();
  first.reset();
  EXPECT_EQ(woken[1], 1);
  EXPECT_EQ(woken[2], 0);
  second.reset();
  EXPECT_EQ(woken[2], 1);
}

TEST_F(HostTableTest, ATurnThatEndsAfterItsPlaceWasTakenWakesNobody) {
  auto one = Ask();
  const auto two = Ask();
  int woken = 0;
  auto first = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken));
  const auto second = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken));
  one.permit.reset();
  const auto taken = table_.Acquire("", kHost, limits_, now_, first.get());
  first.reset();
  EXPECT_EQ(woken, 1);
}

TEST_F(HostTableTest, APlaceOfTheServerThatIsNotTakenGoesToTheNextToo) {
  limits_.server = 1;
  auto one = Ask();
  int woken[2] = {};
  auto first = table_.Wait(Grant::kServerFull, {}, limits_, Counter(woken[0]));
  const auto second = table_.Wait(Grant::kServerFull, {}, limits_, Counter(woken[1]));
  one.permit.reset();
  EXPECT_EQ(woken[0], 1);
  EXPECT_EQ(woken[1], 0);
  EXPECT_EQ(Ask(kOther).grant, Grant::kServerFull);
  first.reset();
  EXPECT_EQ(woken[1], 1);
  EXPECT_EQ(table_.Acquire("", kOther, limits_, now_, second.get()).grant, Grant::kGranted);
}

TEST_F(HostTableTest, AWaiterForWhomThereIsNoRoomYetIsPassedOverAndStays) {
  auto one = Ask();
  auto two = Ask();
  HostTable::Limits narrow = limits_;
  narrow.per_host = 1;
  int woken[2] = {};
  const auto first = table_.Wait(Grant::kHostFull, {kHost}, narrow, Counter(woken[0]));
  auto second = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken[1]));
  one.permit.reset();
  EXPECT_EQ(woken[0], 0);
  EXPECT_EQ(woken[1], 1);
  second.reset();
  EXPECT_EQ(woken[0], 0);
  two.permit.reset();
  EXPECT_EQ(woken[0], 1);
}

TEST_F(HostTableTest, WhoWaitsForTheServerGetsThePlacesOfAHigherLimit) {
  limits_.server = 1;
  const auto one = Ask();
  int first_woken = 0;
  int second_woken = 0;
  const auto first = table_.Wait(Grant::kServerFull, {}, limits_, Counter(first_woken));
  const auto second = table_.Wait(Grant::kServerFull, {}, limits_, Counter(second_woken));
  limits_.server = 3;
  second->SetLimits(limits_);
  EXPECT_EQ(second_woken, 0) << "not before the first";
  first->SetLimits(limits_);
  EXPECT_EQ(first_woken, 1);
  EXPECT_EQ(second_woken, 1);
  EXPECT_EQ(Ask().grant, Grant::kServerFull) << "both places are kept";
}

TEST_F(HostTableTest, WhoWaitsForAHostGetsThePlacesOfAHigherLimit) {
  limits_.per_host = 1;
  const auto one = Ask();
  int woken = 0;
  const auto turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken));
  limits_.per_host = 2;
  turn->SetLimits(limits_);
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(table_.Acquire("", kHost, limits_, now_, turn.get()).grant, Grant::kGranted);
}

TEST_F(HostTableTest, TheFirstOfManyWhoWaitsStillGetsThePlaceAndNobodyIsForgotten) {
  auto one = Ask();
  const auto two = Ask();
  std::vector<int> woken(100, 0);
  std::vector<std::unique_ptr<HostTable::Turn>> turns;
  for (int& count : woken) {
    turns.push_back(table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(count)));
  }
  for (std::size_t i = 0; i < turns.size(); ++i) {
    if (i % 10 != 7) turns[i].reset();
  }
  EXPECT_TRUE(two.permit->contended());
  one.permit.reset();
  for (std::size_t i = 0; i < turns.size(); ++i) {
    EXPECT_EQ(woken[i], i % 10 == 7 ? 1 : 0) << i;
    turns[i].reset();
  }
  EXPECT_FALSE(two.permit->contended());
  EXPECT_EQ(Ask().grant, Grant::kGranted) << "nothing is kept any more";
}

TEST_F(HostTableTest, WhoIsOfferedAPlaceWaitsNowhereElse) {
  auto one = Ask();
  const auto two = Ask();
  const auto other_one = Ask(kOther);
  auto other_two = Ask(kOther);
  int woken = 0;
  int next_woken = 0;
  const auto turn = table_.Wait(Grant::kHostFull, {kHost, kOther}, limits_, Counter(woken));
  one.permit.reset();
  EXPECT_EQ(woken, 1);
  EXPECT_FALSE(other_one.permit->contended());
  const auto next = table_.Wait(Grant::kHostFull, {kOther}, limits_, Counter(next_woken));
  other_two.permit.reset();
  EXPECT_EQ(next_woken, 1);
}

TEST_F(HostTableTest, AHostThatIsSkippedForAllIsNotForgotten) {
  limits_.retry = absl::Hours(1);
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.1");
  Attempt(HostOutcome::kNoRoute, kHost, "10.0.0.2");
  now_ += absl::Minutes(11);
  for (int i = 0; i < 5000; ++i) Ask(kOther);
  EXPECT_EQ(Ask(kHost, "10.0.0.3").grant, Grant::kBackedOff);
}

TEST_F(HostTableTest, AnIdleConnectionGivesWayToWhoeverComesToWait) {
  auto one = Ask();
  const auto two = Ask();
  int yielded = 0;
  const auto yield = Counter(yielded);
  one.permit->OfferToYield(yield);
  EXPECT_EQ(yielded, 0);
  int woken = 0;
  const auto waiter = Counter(woken);
  const auto waiter_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, waiter);
  EXPECT_EQ(yielded, 1);
  EXPECT_EQ(woken, 0);
}

TEST_F(HostTableTest, AConnectionThatBecomesIdleWhileOthersWaitGivesWayAtOnce) {
  auto one = Ask();
  const auto two = Ask();
  int woken = 0;
  const auto waiter = Counter(woken);
  const auto waiter_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, waiter);
  int yielded = 0;
  one.permit->OfferToYield(Counter(yielded));
  EXPECT_EQ(yielded, 1);
}

TEST_F(HostTableTest, WakesNobodyOnceItIsStopped) {
  auto one = Ask();
  const auto two = Ask();
  int woken = 0;
  const auto waiter = Counter(woken);
  const auto waiter_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, waiter);
  table_.Stop();
  one.permit.reset();
  EXPECT_EQ(woken, 0);
}

}  // namespace
}  // namespace postern::delivery

// Places: who waits for one, who gives one up.
#include "tests/unit/delivery/host_table_fixture.h"

namespace postern::delivery {
namespace {

TEST_F(HostTableTest, APlaceThatIsFreedWakesTheFirstWhoWaits) {
  auto one = Ask();
  auto two = Ask();
  int first_woken = 0;
  int second_woken = 0;
  const auto first = Counter(first_woken);
  const auto second = Counter(second_woken);
  const auto first_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, first);
  const auto second_turn = table_.Wait(Grant::kHostFull, {kHost}, limits_, second);
  EXPECT_TRUE(one.permit->TakeYield());
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
  EXPECT_FALSE(two.permit->TakeYield());
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
  EXPECT_TRUE(one.permit->TakeYield());
  one.permit.reset();
  for (std::size_t i = 0; i < turns.size(); ++i) {
    EXPECT_EQ(woken[i], i % 10 == 7 ? 1 : 0) << i;
    turns[i].reset();
  }
  EXPECT_FALSE(two.permit->TakeYield());
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
  EXPECT_FALSE(other_one.permit->TakeYield());
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

TEST_F(HostTableTest, NoMoreGiveWayThanWait) {
  auto one = Ask();
  auto two = Ask();
  int woken = 0;
  const auto first = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken));
  EXPECT_TRUE(one.permit->TakeYield());
  EXPECT_TRUE(one.permit->TakeYield()) << "who was told so is told the same again";
  EXPECT_FALSE(two.permit->TakeYield());
  const auto second = table_.Wait(Grant::kHostFull, {kHost}, limits_, Counter(woken));
  EXPECT_TRUE(two.permit->TakeYield());
  one.permit.reset();
  two.permit.reset();
  EXPECT_EQ(woken, 2);
}

TEST_F(HostTableTest, ConnectionsOfAllHostsGiveWayToWhoWaitsForTheServer) {
  limits_.server = 3;
  auto one = Ask();
  auto two = Ask(kOther);
  const auto three = Ask(kOther);
  int yielded = 0;
  const auto yield = Counter(yielded);
  one.permit->OfferToYield(yield);
  int woken = 0;
  const auto first = table_.Wait(Grant::kServerFull, {}, limits_, Counter(woken));
  EXPECT_EQ(yielded, 1) << "an idle one first";
  EXPECT_TRUE(two.permit->TakeYield());
  EXPECT_FALSE(three.permit->TakeYield());
  one.permit.reset();
  EXPECT_EQ(woken, 1);
  two.permit.reset();
  EXPECT_FALSE(three.permit->TakeYield()) << "nobody waits any more";
}

TEST_F(HostTableTest, AConnectionThatBecomesIdleWhileOthersWaitForTheServerGivesWayAtOnce) {
  limits_.server = 1;
  const auto one = Ask();
  int woken = 0;
  auto turn = table_.Wait(Grant::kServerFull, {}, limits_, Counter(woken));
  int yielded = 0;
  one.permit->OfferToYield(Counter(yielded));
  EXPECT_EQ(yielded, 1);
  turn.reset();
  one.permit->OfferToYield(Counter(yielded));
  EXPECT_EQ(yielded, 1) << "who waited is gone";
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

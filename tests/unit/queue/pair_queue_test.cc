#include "server/queue/pair_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postern::queue {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

RowPtr MakeRow(std::string sender, absl::Time next = kStart, std::uint8_t priority = 0,
               absl::Time expires = kStart + absl::Hours(1)) {
  auto row = std::make_unique<QueuedRow>();
  row->row.sender = std::move(sender);
  row->row.created = kStart;
  row->row.next_attempt = next;
  row->row.expires = expires;
  row->row.priority = priority;
  return row;
}

// The number-th message.
base::Id IdOf(int number) {
  base::Id id;
  id.bytes[14] = static_cast<unsigned char>(number >> 8);
  id.bytes[15] = static_cast<unsigned char>(number);
  return id;
}

RowPtr MakeRow(int message, std::uint16_t index = 0, absl::Time next = kStart) {
  RowPtr row = MakeRow(std::to_string(message), next);
  row->row.message_id = IdOf(message);
  row->row.index = index;
  return row;
}

std::string Drain(PairQueue& queue) {
  std::string order;
  while (RowPtr row = queue.TakeNext()) order += row->row.sender;
  return order;
}

TEST(PairQueueTest, RowsLeaveInOrderOfArrival) {
  PairQueue queue;
  for (const char* name : {"a", "b", "c"}) queue.AddActive(MakeRow(name));
  EXPECT_EQ(queue.head()->sender, "a");
  EXPECT_EQ(Drain(queue), "abc");
  EXPECT_TRUE(queue.empty());
}

TEST(PairQueueTest, HigherPriorityGoesFirst) {
  PairQueue queue;
  queue.AddActive(MakeRow("a"));
  queue.AddActive(MakeRow("b", kStart, 9));
  queue.AddActive(MakeRow("c"));
  queue.AddActiveFirst(MakeRow("d"));
  EXPECT_EQ(Drain(queue), "bdac");
}

TEST(PairQueueTest, DelayedRowsBecomeActiveWhenDueAndNotBefore) {
  PairQueue queue;
  queue.AddDelayed(MakeRow("late", kStart + absl::Seconds(20)));
  queue.AddDelayed(MakeRow("soon", kStart + absl::Seconds(10)));
  EXPECT_EQ(queue.next_due(), kStart + absl::Seconds(10));
  EXPECT_EQ(queue.Promote(kStart + absl::Seconds(9)), 0u);
  EXPECT_EQ(queue.head(), nullptr);
  EXPECT_EQ(queue.Promote(kStart + absl::Seconds(10)), 1u);
  EXPECT_EQ(Drain(queue), "soon");
  EXPECT_EQ(queue.delayed_size(), 1u);
}

TEST(PairQueueTest, DeadlinesFireForActiveAndDelayedRows) {
  PairQueue queue;
  queue.AddActive(MakeRow("a", kStart, 0, kStart + absl::Seconds(5)));
  queue.AddActive(MakeRow("b"));
  queue.AddDelayed(MakeRow("c", kStart + absl::Hours(9), 0, kStart + absl::Seconds(6)));
  EXPECT_TRUE(queue.TakeExpired(kStart + absl::Seconds(4)).empty());
  EXPECT_EQ(queue.next_event(), kStart + absl::Seconds(5));
  ASSERT_EQ(queue.TakeExpired(kStart + absl::Seconds(5)).size(), 1u);
  ASSERT_EQ(queue.TakeExpired(kStart + absl::Seconds(6)).size(), 1u);
  EXPECT_EQ(queue.active_size(), 1u);
  EXPECT_EQ(queue.delayed_size(), 0u);
}

TEST(PairQueueTest, ManyDeadlinesInARowAreNotLookedAtOneByOne) {
  PairQueue queue;
  for (int i = 0; i < 100; ++i) {
    queue.AddActive(MakeRow("x", kStart, 0, kStart + absl::Milliseconds(i)));
  }
  EXPECT_EQ(queue.TakeExpired(kStart).size(), 1u);
  EXPECT_EQ(queue.next_event(), kStart + PairQueue::kExpiryInterval);
  EXPECT_EQ(queue.TakeExpired(kStart + PairQueue::kExpiryInterval).size(), 99u);
  EXPECT_EQ(queue.next_event(), absl::InfiniteFuture());
}

TEST(PairQueueTest, TakeIfTakesFromBothAndKeepsTheRestInOrder) {
  PairQueue queue;
  for (const char* name : {"a", "b", "c"}) queue.AddActive(MakeRow(name));
  for (int i = 5; i > 0; --i) {
    queue.AddDelayed(MakeRow(std::to_string(i), kStart + absl::Seconds(i)));
  }
  RowWalk walk;
  walk.budget = 100;
  const auto taken = queue.TakeIf(
      walk, [](const mail::Row& row) { return row.sender == "b" || row.sender == "1"; });
  EXPECT_EQ(taken.size(), 2u);
  EXPECT_TRUE(walk.over);
  EXPECT_EQ(queue.next_due(), kStart + absl::Seconds(2));
  queue.Promote(absl::InfiniteFuture());
  EXPECT_EQ(Drain(queue), "ac2345");
}

TEST(PairQueueTest, AWalkInTurnsLooksAtEachRowOnceWhateverItTakes) {
  constexpr int kRows = 2000;
  constexpr std::size_t kTurn = 50;
  PairQueue queue;
  for (int i = 0; i < kRows; ++i) {
    if (i % 3 == 0) {
      queue.AddDelayed(MakeRow(i, 0, kStart + absl::Seconds(kRows - i)));
    } else {
      queue.AddActive(MakeRow(i));
    }
  }
  int looks = 0;
  std::size_t taken = 0;
  int turns = 0;
  for (RowWalk walk; !walk.over; ++turns) {
    walk.budget = kTurn;
    const int before = looks;
    taken += queue
                 .TakeIf(walk,
                         [&](const mail::Row& row) {
                           ++looks;
                           return row.message_id.bytes[15] % 2 == 0;
                         })
                 .size();
    EXPECT_LE(looks - before, static_cast<int>(kTurn));
  }
  EXPECT_EQ(looks, kRows);
  EXPECT_EQ(turns, kRows / static_cast<int>(kTurn) + 1);
  EXPECT_EQ(taken, kRows / 2U);
  EXPECT_EQ(queue.active_size() + queue.delayed_size(), kRows / 2U);
}

TEST(PairQueueTest, AWalkGoesOnWhereItWasThoughTheQueueHasChanged) {
  PairQueue queue;
  for (const int i : {5, 1, 3, 9, 7}) queue.AddActive(MakeRow(i));
  std::vector<std::string> seen;
  const auto look = [&seen](const mail::Row& row) {
    seen.push_back(row.sender);
    return false;
  };
  RowWalk walk;
  walk.budget = 2;
  queue.TakeIf(walk, look);
  EXPECT_FALSE(walk.over);
  const RowPtr last_seen = queue.Take({IdOf(3), 0});
  const RowPtr next_to_come = queue.Take({IdOf(5), 0});
  queue.AddActiveFirst(MakeRow(2));  // the walk is past it
  queue.AddDelayed(MakeRow(8, 0, kStart + absl::Hours(1)));
  walk.budget = 100;
  queue.TakeIf(walk, look);
  EXPECT_TRUE(walk.over);
  EXPECT_EQ(seen, (std::vector<std::string>{"1", "3", "7", "8", "9"}));
}

TEST(PairQueueTest, AWalkOverOneMessageLooksAtNoOther) {
  PairQueue queue;
  for (const int message : {1, 2, 3}) {
    for (const std::uint16_t index : {std::uint16_t{0}, std::uint16_t{4}})
      queue.AddActive(MakeRow(message, index));
  }
  std::vector<int> indices;
  RowWalk walk;
  walk.only = IdOf(2);
  walk.budget = 100;
  const auto taken = queue.TakeIf(walk, [&](const mail::Row& row) {
    EXPECT_EQ(row.message_id, IdOf(2));
    indices.push_back(row.index);
    return row.index == 4;
  });
  EXPECT_EQ(indices, (std::vector<int>{0, 4}));
  EXPECT_TRUE(walk.over);
  EXPECT_EQ(walk.budget, 98u);
  EXPECT_EQ(taken.size(), 1u);
}

TEST(PairQueueTest, ARowIsFoundByItsKeyWhereverItIs) {
  PairQueue queue;
  for (const int message : {4, 2, 6}) queue.AddActive(MakeRow(message));
  queue.AddDelayed(MakeRow(2, 1, kStart + absl::Hours(1)));
  EXPECT_EQ(queue.Find({IdOf(2), 2}), nullptr);
  EXPECT_EQ(queue.Take({IdOf(3), 0}), nullptr);
  ASSERT_NE(queue.Find({IdOf(2), 1}), nullptr);
  EXPECT_EQ(queue.Take({IdOf(2), 1})->row.index, 1);
  EXPECT_EQ(queue.delayed_size(), 0u);
  EXPECT_EQ(queue.next_due(), absl::InfiniteFuture());
  EXPECT_TRUE(queue.Holds(IdOf(2)));
  EXPECT_EQ(queue.Take({IdOf(2), 0})->row.index, 0);
  EXPECT_FALSE(queue.Holds(IdOf(2)));
  EXPECT_EQ(Drain(queue), "46");
}

TEST(PairQueueTest, DelayedRowsThatAreDueAtOneTimeLeaveInOrderOfSubmission) {
  PairQueue queue;
  for (const int message : {3, 1, 4, 2}) {
    queue.AddDelayed(MakeRow(message, 0, kStart + absl::Seconds(1)));
  }
  EXPECT_EQ(queue.Promote(kStart + absl::Seconds(1)), 4u);
  EXPECT_EQ(Drain(queue), "1234");
}

TEST(PairQueueTest, VeryManyDeadlinesAtOneTimeFireInTurns) {
  PairQueue queue;
  constexpr std::size_t kRows = 2 * PairQueue::kExpiredAtOnce + 1;
  for (std::size_t i = 0; i < kRows; ++i) queue.AddActive(MakeRow("x", kStart, 0, kStart));
  std::size_t expired = 0;
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_LE(queue.next_event(), kStart);
    const std::size_t now = queue.TakeExpired(kStart).size();
    EXPECT_LE(now, PairQueue::kExpiredAtOnce);
    expired += now;
  }
  EXPECT_EQ(expired, kRows);
  EXPECT_TRUE(queue.empty());
}

TEST(PairQueueTest, DeadlinesFireThoughTheClockWasSetBack) {
  PairQueue queue;
  queue.AddActive(MakeRow("a", kStart, 0, kStart));
  EXPECT_EQ(queue.TakeExpired(kStart).size(), 1u);
  const absl::Time back = kStart - absl::Hours(1);
  queue.AddActive(MakeRow("b", back, 0, back));
  EXPECT_EQ(queue.TakeExpired(back).size(), 1u);
}

TEST(PairQueueTest, PromoteAllWaitsForNothing) {
  PairQueue queue;
  queue.AddDelayed(MakeRow("a", kStart + absl::Hours(1)));
  EXPECT_EQ(queue.PromoteAll(), 1u);
  EXPECT_EQ(Drain(queue), "a");
}

}  // namespace
}  // namespace postern::queue

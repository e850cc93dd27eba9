#include "server/queue/pair_queue.h"

#include <gtest/gtest.h>

#include <string>

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
  const auto taken =
      queue.TakeIf([](const mail::Row& row) { return row.sender == "b" || row.sender == "1"; });
  EXPECT_EQ(taken.size(), 2u);
  EXPECT_EQ(queue.next_due(), kStart + absl::Seconds(2));
  queue.Promote(absl::InfiniteFuture());
  EXPECT_EQ(Drain(queue), "ac2345");
}

TEST(PairQueueTest, PromoteAllWaitsForNothing) {
  PairQueue queue;
  queue.AddDelayed(MakeRow("a", kStart + absl::Hours(1)));
  EXPECT_EQ(queue.PromoteAll(), 1u);
  EXPECT_EQ(Drain(queue), "a");
}

}  // namespace
}  // namespace postern::queue

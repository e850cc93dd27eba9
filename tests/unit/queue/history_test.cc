#include "server/queue/history.h"

#include <gtest/gtest.h>

namespace postern::queue {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

mail::Row RowOf(int id, std::uint16_t index = 0) {
  mail::Row row;
  row.message_id.bytes[15] = static_cast<unsigned char>(id);
  row.index = index;
  return row;
}

TEST(MessageRecordTest, TheLastRowFinishesTheMessage) {
  MessageRecord record(2);
  EXPECT_EQ(record.Finish(RowOf(1, 1)), std::nullopt);
  const auto rows = record.Finish(RowOf(1, 0));
  ASSERT_TRUE(rows.has_value());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].index, 0);
}

TEST(HistoryTest, ForgetsTheOldestWhenFull) {
  History history(2, absl::Hours(1));
  for (int i = 1; i <= 3; ++i) history.Add({RowOf(i)}, kStart);
  EXPECT_FALSE(history.Find(RowOf(1).message_id, kStart).has_value());
  EXPECT_TRUE(history.Find(RowOf(3).message_id, kStart).has_value());
}

TEST(HistoryTest, ForgetsByAge) {
  History history(10, absl::Minutes(15));
  history.Add({RowOf(1)}, kStart);
  EXPECT_TRUE(history.Find(RowOf(1).message_id, kStart + absl::Minutes(14)).has_value());
  EXPECT_FALSE(history.Find(RowOf(1).message_id, kStart + absl::Minutes(15)).has_value());
}

TEST(HistoryTest, ListsInOrderOfIdBehindACursor) {
  History history;
  for (const int i : {3, 1, 2}) history.Add({RowOf(i)}, kStart);
  const auto page = history.After(RowOf(1).message_id, 10, kStart);
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].front().message_id, RowOf(2).message_id);
}

}  // namespace
}  // namespace postern::queue

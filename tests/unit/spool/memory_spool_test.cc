#include "tests/support/memory_spool.h"

#include <gtest/gtest.h>

#include "tests/unit/spool/spool_testing.h"

namespace postern::testing {
namespace {

using spool::AllRows;
using spool::MakeRow;
using spool::MakeRows;
using spool::TestTime;

TEST(MemorySpoolTest, KeepsTheSeamsPromises) {
  MemorySpool spool;
  const base::Id id = base::NewId(TestTime());
  ASSERT_TRUE(spool::StoreNow(spool, "content", MakeRows(id, 2)).ok());
  EXPECT_EQ("content", *spool.ReadContent(id));
  EXPECT_EQ(2U, spool.ReadRows(id)->size());
  EXPECT_TRUE(spool.IsWritten(spool.MarkAttempt(MakeRow(id, 1, 2), {})));
  EXPECT_FALSE(AllRows(spool)[1].in_doubt);
  spool.Restart();
  EXPECT_FALSE(AllRows(spool)[0].in_doubt);
  EXPECT_TRUE(AllRows(spool)[1].in_doubt);
  spool.Update(MakeRow(id, 1, 2), {});
  EXPECT_FALSE(AllRows(spool)[1].in_doubt);
  spool.Remove(id, 2);
  EXPECT_TRUE(absl::IsNotFound(spool.ReadRows(id).status()));
}

TEST(MemorySpoolTest, HoldsAndFailsAsItIsTold) {
  MemorySpool spool;
  spool.FailStores(absl::ResourceExhaustedError("full"));
  const base::Id id = base::NewId(TestTime());
  EXPECT_TRUE(absl::IsResourceExhausted(spool::StoreNow(spool, "c", MakeRows(id, 1))));
  EXPECT_EQ(0U, spool.content_count());
  spool.Hold(true);
  const spool::Ticket ticket = spool.MarkAttempt(MakeRow(id), {});
  bool written = false;
  spool.WhenWritten(ticket, [&] { written = true; });
  EXPECT_FALSE(written);
  spool.Hold(false);
  EXPECT_TRUE(written);
}

}  // namespace
}  // namespace postern::testing

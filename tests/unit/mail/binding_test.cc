#include "server/mail/binding.h"

#include <gtest/gtest.h>

namespace postern::mail {
namespace {

TEST(BindingTableTest, SlotsAreGivenOnceAndNeverChange) {
  BindingTable table;
  EXPECT_EQ(table.SlotOf("default"), 0);
  EXPECT_EQ(table.SlotOf("bulk"), 1);
  EXPECT_EQ(table.SlotOf("transactional"), 2);
  EXPECT_EQ(table.SlotOf("bulk"), 1);
  EXPECT_EQ(table.NameOf(2), "transactional");
}

TEST(BindingTableTest, UnknownNamesAndSlotsAreSaid) {
  const BindingTable table;
  EXPECT_EQ(table.Find("nobody"), std::nullopt);
  EXPECT_EQ(table.NameOf(7), "");
  EXPECT_EQ(table.NameOf(-1), "");
}

}  // namespace
}  // namespace postern::mail

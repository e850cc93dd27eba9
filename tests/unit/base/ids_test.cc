#include "server/base/ids.h"

#include <gtest/gtest.h>

namespace postern::base {
namespace {

TEST(IdsTest, TextFormReadsBack) {
  const Id id = NewId(absl::FromUnixSeconds(1'700'000'000));
  EXPECT_EQ(id.ToString().size(), 32u);
  EXPECT_EQ(ParseId(id.ToString()), id);
  EXPECT_EQ(IdFromKey(id.AsKey()), id);
}

TEST(IdsTest, LaterIdsSortBehind) {
  const Id first = NewId(absl::FromUnixMillis(1000));
  const Id second = NewId(absl::FromUnixMillis(1001));
  EXPECT_LT(first, second);
}

TEST(IdsTest, IdsOfOneMomentDiffer) {
  const absl::Time now = absl::FromUnixSeconds(1);
  EXPECT_NE(NewId(now), NewId(now));
}

TEST(IdsTest, RefusesWhatIsNoId) {
  EXPECT_EQ(ParseId(""), std::nullopt);
  EXPECT_EQ(ParseId("0123"), std::nullopt);
  EXPECT_EQ(ParseId("0123456789abcdef0123456789abcdeg"), std::nullopt);
  EXPECT_EQ(IdFromKey("short"), std::nullopt);
}

}  // namespace
}  // namespace postern::base

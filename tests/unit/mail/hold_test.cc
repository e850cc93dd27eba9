#include "server/mail/hold.h"

#include <gtest/gtest.h>

namespace postern::mail {
namespace {

TEST(NormalDomainTest, IsInLowerCaseWithoutTheLastDot) {
  EXPECT_EQ(NormalDomain("A.Example."), "a.example");
  EXPECT_EQ(NormalDomain("*.Example.Net."), "*.example.net");
  EXPECT_EQ(NormalDomain("*"), "*");
  EXPECT_EQ(NormalDomain("*."), "*.") << "a slip of the hand does not mean every domain";
}

TEST(ScopeTest, MatchesByGlobAndBinding) {
  const PairKey pair{"mx.example.net", "pool-1"};
  EXPECT_TRUE((Scope{"*", ""}.Matches(pair)));
  EXPECT_TRUE((Scope{"*.example.net", ""}.Matches(pair)));
  EXPECT_TRUE((Scope{"MX.example.net", "pool-1"}.Matches(pair)));
  EXPECT_FALSE((Scope{"*", "pool-2"}.Matches(pair)));
  EXPECT_FALSE((Scope{"example.net", ""}.Matches(pair)));
}

TEST(ScopeTest, ASuffixGlobDoesNotMatchTheSuffixItself) {
  EXPECT_FALSE((Scope{"*.example.net", ""}.Matches({"example.net", "default"})));
  EXPECT_FALSE((Scope{"*.example.net", ""}.Matches({"badexample.net", "default"})));
}

TEST(ScopeTest, CoversWhatLiesWithin) {
  const Scope all{"*", ""};
  const Scope suffix{"*.example.net", ""};
  const Scope deeper{"*.a.example.net", ""};
  const Scope one{"a.example.net", "pool-1"};
  EXPECT_TRUE(all.Covers(suffix));
  EXPECT_TRUE(suffix.Covers(suffix));
  EXPECT_TRUE(suffix.Covers(deeper));
  EXPECT_TRUE(suffix.Covers(one));
  EXPECT_FALSE(suffix.Covers(all));
  EXPECT_FALSE(deeper.Covers(suffix));
  EXPECT_FALSE(deeper.Covers(one));
  EXPECT_FALSE((Scope{"*", "pool-1"}.Covers(suffix))) << "not of every binding";
}

TEST(ScopeTest, OverlapsWhereBothMatchSomething) {
  const Scope pool{"*", "pool-1"};
  EXPECT_TRUE(pool.Overlaps({"a.example", ""}));
  EXPECT_TRUE((Scope{"a.example", ""}.Overlaps(pool)));
  EXPECT_TRUE((Scope{"a.example", "pool-1"}.Overlaps({"*.example", ""})));
  EXPECT_FALSE(pool.Overlaps({"*", "pool-2"}));
  EXPECT_FALSE((Scope{"a.example", ""}.Overlaps({"b.example", ""})));
  EXPECT_FALSE((Scope{"*.example", ""}.Overlaps({"example", ""}))) << "the suffix is no subdomain";
}

}  // namespace
}  // namespace postern::mail

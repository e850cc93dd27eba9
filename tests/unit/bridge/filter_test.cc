#include "server/bridge/filter.h"

#include <gtest/gtest.h>

namespace postern::bridge {
namespace {

bool Matches(Filter filter, absl::string_view domain, absl::string_view binding = "default") {
  const auto matcher = Matcher::Create(std::move(filter));
  EXPECT_TRUE(matcher.ok()) << matcher.status();
  return matcher.ok() && matcher->Matches(domain, binding);
}

TEST(FilterTest, EmptyFilterMatchesEverything) { EXPECT_TRUE(Matches({}, "a.example", "b")); }

TEST(FilterTest, ExactGlobMatchesThatDomainOnlyAndIgnoresCaseAndTheLastDot) {
  EXPECT_TRUE(Matches({{"A.Example"}, {}}, "a.example"));
  EXPECT_TRUE(Matches({{"a.example."}, {}}, "a.example"));
  EXPECT_TRUE(Matches({{"*.example."}, {}}, "a.example"));
  EXPECT_FALSE(Matches({{"a.example"}, {}}, "b.a.example"));
}

TEST(FilterTest, SuffixGlobMatchesSubdomainsAtAnyDepthButNotItself) {
  const Filter filter{{"*.example.com"}, {}};
  EXPECT_TRUE(Matches(filter, "a.example.com"));
  EXPECT_TRUE(Matches(filter, "b.a.example.com"));
  EXPECT_FALSE(Matches(filter, "example.com"));
  EXPECT_FALSE(Matches(filter, "badexample.com"));
}

TEST(FilterTest, StarMatchesEveryDomain) { EXPECT_TRUE(Matches({{"*"}, {}}, "x.org")); }

TEST(FilterTest, BindingsMatchByNameAndBothMustMatch) {
  EXPECT_TRUE(Matches({{"a.example"}, {"bulk"}}, "a.example", "bulk"));
  EXPECT_FALSE(Matches({{"a.example"}, {"bulk"}}, "a.example", "default"));
  EXPECT_FALSE(Matches({{"b.example"}, {"bulk"}}, "a.example", "bulk"));
}

TEST(FilterTest, RefusesMalformedGlobsNamingTheEntry) {
  for (const char* glob : {"", ".", "*x", "a.*.b", "*.", "**", "*.*.b"}) {
    const auto matcher = Matcher::Create({{"ok.example", glob}, {}});
    ASSERT_FALSE(matcher.ok()) << glob;
    EXPECT_EQ(matcher.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(matcher.status().message().find("filter.domains[1]"), absl::string_view::npos);
  }
}

TEST(FilterTest, RefusesTooManyOrTooLongGlobsNamingTheLimit) {
  Filter many;
  many.domains.assign(kMaxGlobs + 1, "a.example");
  EXPECT_EQ(Matcher::Create(many).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CheckLimits(many).message(), "filter.domains: over 256 entries");
  Filter lengthy;
  lengthy.bindings = {"b", std::string(kMaxGlobBytes + 1, 'a')};
  EXPECT_EQ(Matcher::Create(lengthy).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CheckLimits(lengthy).message(), "filter.bindings[1]: over 1024 bytes");
}

TEST(FilterTest, SpecificityRanksExactOverLongerSuffixOverShorterOverStar) {
  EXPECT_GT(Specificity("a.b.example", "a.b.example"), Specificity("*.b.example", "a.b.example"));
  EXPECT_GT(Specificity("*.b.example", "a.b.example"), Specificity("*.example", "a.b.example"));
  EXPECT_GT(Specificity("*.example", "a.b.example"), Specificity("*", "a.b.example"));
  EXPECT_EQ(Specificity("*.example", "example"), 0u);
}

}  // namespace
}  // namespace postern::bridge

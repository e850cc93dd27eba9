#include "server/dns/record_cache.h"

#include <gtest/gtest.h>

namespace postern::dns {
namespace {

constexpr RecordType kA = RecordType::kA;

std::shared_ptr<const RecordSet> Until(absl::Time expires) {
  auto set = std::make_shared<RecordSet>();
  set->expires = expires;
  return set;
}

TEST(RecordCacheTest, ForgetsWhatHasExpired) {
  RecordCache cache(10);
  const absl::Time start = absl::UnixEpoch();
  cache.Put("a", kA, Until(start + absl::Seconds(5)));
  EXPECT_NE(cache.Find("a", kA, start + absl::Seconds(4)), nullptr);
  EXPECT_EQ(cache.Find("a", kA, start + absl::Seconds(5)), nullptr);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(RecordCacheTest, KeepsTypesApart) {
  RecordCache cache(10);
  cache.Put("a", kA, Until(absl::InfiniteFuture()));
  EXPECT_EQ(cache.Find("a", RecordType::kMx, absl::UnixEpoch()), nullptr);
}

TEST(RecordCacheTest, GivesUpTheLeastRecentlyUsed) {
  RecordCache cache(2);
  const absl::Time now = absl::UnixEpoch();
  cache.Put("a", kA, Until(absl::InfiniteFuture()));
  cache.Put("b", kA, Until(absl::InfiniteFuture()));
  EXPECT_NE(cache.Find("a", kA, now), nullptr);
  cache.Put("c", kA, Until(absl::InfiniteFuture()));
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(cache.Find("b", kA, now), nullptr);
  EXPECT_NE(cache.Find("a", kA, now), nullptr);
  EXPECT_NE(cache.Find("c", kA, now), nullptr);
}

TEST(RecordCacheTest, ReplacesAnEntry) {
  RecordCache cache(2);
  cache.Put("a", kA, Until(absl::UnixEpoch()));
  cache.Put("a", kA, Until(absl::InfiniteFuture()));
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_NE(cache.Find("a", kA, absl::UnixEpoch()), nullptr);
}

}  // namespace
}  // namespace postern::dns

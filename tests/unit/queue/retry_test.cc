#include "server/queue/retry.h"

#include <gtest/gtest.h>

#include "server/queue/token_bucket.h"

namespace postern::queue {
namespace {

constexpr std::uint64_t kMiddle = std::uint64_t{1} << 63;

TEST(RetryTest, FollowsTheScheduleAndRepeatsItsLastEntry) {
  mail::DeliveryOptions options;
  options.retry_schedule = {absl::Minutes(5), absl::Hours(1)};
  EXPECT_EQ(RetryDelay(options, 1, kMiddle), absl::Minutes(5));
  EXPECT_EQ(RetryDelay(options, 2, kMiddle), absl::Hours(1));
  EXPECT_EQ(RetryDelay(options, 99, kMiddle), absl::Hours(1));
}

TEST(RetryTest, JitterStaysWithinItsFraction) {
  mail::DeliveryOptions options;
  options.retry_schedule = {absl::Seconds(100)};
  EXPECT_EQ(RetryDelay(options, 1, 0), absl::Seconds(90));
  EXPECT_GT(RetryDelay(options, 1, ~std::uint64_t{0}), absl::Seconds(109.9));
  EXPECT_LE(RetryDelay(options, 1, ~std::uint64_t{0}), absl::Seconds(110));
}

TEST(ConnectionGoalTest, GrowsWithTheQueueUpToTheLimit) {
  mail::DeliveryOptions options;
  EXPECT_EQ(ConnectionGoal(options, 0), 0u);
  EXPECT_EQ(ConnectionGoal(options, 1), 1u);
  EXPECT_EQ(ConnectionGoal(options, 2), 2u);
  EXPECT_EQ(ConnectionGoal(options, 100), 10u);
  EXPECT_EQ(ConnectionGoal(options, 1'000'000), 32u);
  options.max_outbound_connections = 3;
  EXPECT_EQ(ConnectionGoal(options, 100), 3u);
}

TEST(TokenBucketTest, GivesTheBurstAndThenTheRate) {
  TokenBucket bucket(2, 3);
  const absl::Time start = absl::FromUnixSeconds(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(start));
  EXPECT_FALSE(bucket.Take(start));
  EXPECT_EQ(bucket.NextToken(start), start + absl::Milliseconds(500));
  EXPECT_FALSE(bucket.Take(start + absl::Milliseconds(499)));
  EXPECT_TRUE(bucket.Take(start + absl::Milliseconds(500)));
}

TEST(TokenBucketTest, IsFullAgainWhenWhatWasTakenHasComeBack) {
  TokenBucket bucket(2, 3);
  const absl::Time start = absl::FromUnixSeconds(1);
  EXPECT_TRUE(bucket.Full(start));
  EXPECT_TRUE(bucket.Take(start));
  EXPECT_FALSE(bucket.Full(start + absl::Milliseconds(400)));
  EXPECT_TRUE(bucket.Full(start + absl::Milliseconds(500)));
}

TEST(TokenBucketTest, NeverHoldsMoreThanTheBurst) {
  TokenBucket bucket(1, 2);
  const absl::Time start = absl::FromUnixSeconds(1);
  EXPECT_TRUE(bucket.Take(start));
  const absl::Time later = start + absl::Hours(1);
  EXPECT_TRUE(bucket.Take(later));
  EXPECT_TRUE(bucket.Take(later));
  EXPECT_FALSE(bucket.Take(later));
}

}  // namespace
}  // namespace postern::queue

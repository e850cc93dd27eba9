#include "client/steer.h"

#include <gtest/gtest.h>

#include "client/command.h"
#include "client/flush.h"

namespace postern::client {
namespace {

class SteerArguments : public ::testing::Test {
 protected:
  SteerArguments() { AddEverything(app_, invocation_); }

  bool Parses(const std::string& line) {
    try {
      app_.parse(line, false);
    } catch (const CLI::ParseError&) {
      return false;
    }
    return static_cast<bool>(invocation_.run);
  }

  CLI::App app_;
  Invocation invocation_;
};

TEST_F(SteerArguments, SuspendNeedsADomainAndAReason) {
  EXPECT_FALSE(Parses("suspend"));
  EXPECT_FALSE(Parses("suspend a.test"));
  EXPECT_FALSE(Parses("suspend a.test --reason x --for soon"));
  EXPECT_TRUE(Parses("suspend *.a.test --binding pool-1 --reason x --for 2h"));
}

TEST_F(SteerArguments, FlushNeedsADomainOrAMessage) {
  EXPECT_FALSE(Parses("flush"));
  EXPECT_TRUE(Parses("flush --message 0f3c5d0a9b8e4c7fa1d2e3f405162738"));
  EXPECT_TRUE(Parses("flush a.test"));
  EXPECT_TRUE(Parses("flush a.test --wait"));
  EXPECT_FALSE(Parses("flush --wait --message 0f3c5d0a9b8e4c7fa1d2e3f405162738"));
}

TEST_F(SteerArguments, FailTakesAPermanentReplyOnly) {
  EXPECT_FALSE(Parses("fail a.test --reply '451 later'"));
  EXPECT_TRUE(Parses("fail a.test --reply '550 5.7.1 no' --dry-run"));
}

TEST_F(SteerArguments, ResolveKnowsThreeWays) {
  EXPECT_FALSE(Parses("resolve 00 maybe"));
  EXPECT_TRUE(Parses("resolve 00 Retry --domain a.test"));
}

TEST(FailReply, SplitsCodeEnhancedStatusAndText) {
  const std::optional<v1::Reply> full = ParseFailReply("554 5.1.2 it is gone");
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->code(), 554);
  EXPECT_EQ(full->enhanced_status(), "5.1.2");
  EXPECT_EQ(full->text(), "it is gone");
  const std::optional<v1::Reply> plain = ParseFailReply("550 5 messages too many");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->enhanced_status(), "");
  EXPECT_EQ(plain->text(), "5 messages too many");
  EXPECT_TRUE(ParseFailReply("550").has_value());
  EXPECT_FALSE(ParseFailReply("55").has_value());
  EXPECT_FALSE(ParseFailReply("5501").has_value());
  EXPECT_FALSE(ParseFailReply("gone").has_value());
}

TEST(DescribeSuspension, SaysWhoUntilWhenAndWhyOnOneLine) {
  v1::Suspension suspension;
  suspension.mutable_scope()->set_domain("*.a.test");
  suspension.mutable_scope()->set_binding("pool-1");
  suspension.set_kind(v1::REQUEUE_REASON_SUSPENDED);
  suspension.set_who("ops");
  suspension.set_reason("first\nsecond");
  EXPECT_EQ(DescribeSuspension(suspension),
            "*.a.test/pool-1: suspended by ops until resumed: first / second");
}

v1::Queue QueueOf(std::uint64_t active, std::uint64_t delayed) {
  v1::Queue queue;
  queue.set_active(active);
  queue.set_delayed(delayed);
  return queue;
}

TEST(FlushProgress, CountsWhatMayBeDeliveredApartFromWhatIsStopped) {
  FlushProgress progress;
  Count(QueueOf(2, 1), progress);
  v1::Queue waiting = QueueOf(1, 0);
  waiting.mutable_backoff_until()->set_seconds(1);
  Count(waiting, progress);
  v1::Queue suspended = QueueOf(4, 1);
  suspended.set_suspended(true);
  Count(suspended, progress);
  v1::Queue held = QueueOf(1, 0);
  held.mutable_suspension()->set_kind(v1::REQUEUE_REASON_POLICY_HOLD);
  Count(held, progress);
  Count(QueueOf(0, 0), progress);
  EXPECT_EQ(DescribeDue(progress), "3 rows are due in 2 queues, 1 of them in back-off");
  EXPECT_EQ(DescribeRest(progress),
            "2 rows are delayed, 5 wait in queues that are suspended or held");
  EXPECT_EQ(DescribeRest(FlushProgress()), "nothing waits");
}

}  // namespace
}  // namespace postern::client

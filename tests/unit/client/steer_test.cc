#include "client/steer.h"

#include <gtest/gtest.h>

#include "client/command.h"

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

}  // namespace
}  // namespace postern::client

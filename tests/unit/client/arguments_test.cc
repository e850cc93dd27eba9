#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/command.h"
#include "client/messages.h"
#include "client/outcomes.h"
#include "client/submit.h"
#include "client/watch.h"

namespace postern::client {
namespace {

using ::testing::ElementsAre;

// Parses a command line without the program's name; nothing is run.
class Arguments : public ::testing::Test {
 protected:
  Arguments() {
    unsetenv("POSTERN_ADDRESS");
    AddEverything(app_, invocation_);
  }

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

TEST_F(Arguments, GlobalOptionsMayFollowTheSubcommand) {
  ASSERT_TRUE(Parses("queues --address 127.0.0.1:1234 --json"));
  EXPECT_EQ(invocation_.globals.connection.address, "127.0.0.1:1234");
  EXPECT_TRUE(invocation_.globals.json);
}

TEST_F(Arguments, AddressComesFromTheEnvironmentUnlessGiven) {
  setenv("POSTERN_ADDRESS", "unix:/tmp/p.sock", 1);
  ASSERT_TRUE(Parses("health"));
  EXPECT_EQ(invocation_.globals.connection.address, "unix:/tmp/p.sock");
  unsetenv("POSTERN_ADDRESS");
}

TEST_F(Arguments, AddressIsLoopbackByDefault) {
  ASSERT_TRUE(Parses("hooks"));
  EXPECT_EQ(invocation_.globals.connection.address, "127.0.0.1:9090");
}

TEST_F(Arguments, TimeoutIsADurationOfMoreThanNothing) {
  ASSERT_TRUE(Parses("submit --to a@example.com"));
  EXPECT_EQ(invocation_.globals.timeout, "30s");
  ASSERT_TRUE(Parses("queues --timeout 250ms"));
  EXPECT_EQ(invocation_.globals.timeout, "250ms");
  EXPECT_FALSE(Parses("queues --timeout 5"));
  EXPECT_FALSE(Parses("queues --timeout 0s"));
}

TEST_F(Arguments, WithoutACommandIsWrongUsage) { EXPECT_FALSE(Parses("")); }

TEST_F(Arguments, UnknownOptionIsWrongUsage) { EXPECT_FALSE(Parses("queues --nonsense")); }

TEST_F(Arguments, AKillSwitchNeedsAReasonUnlessItIsTakenBack) {
  EXPECT_FALSE(Parses("switch off"));
  EXPECT_TRUE(Parses("switch force-keep --provider warmup --reason x --for 10m"));
  EXPECT_FALSE(Parses("switch off --reason x --for soon"));
  EXPECT_FALSE(Parses("switch"));
}

TEST_F(Arguments, AKillSwitchIsTakenBackWithoutAReason) { EXPECT_TRUE(Parses("switch on")); }

TEST_F(Arguments, AConfigurationToApplyHasAFile) {
  EXPECT_FALSE(Parses("config apply"));
  EXPECT_FALSE(Parses("config"));
  EXPECT_TRUE(Parses("config apply - --reason weekend --for 2d --if-generation 7"));
}

TEST_F(Arguments, SubmitNeedsARecipient) { EXPECT_FALSE(Parses("submit --from a@example.com")); }

TEST_F(Arguments, ATokenIsForOneSubmission) {
  EXPECT_TRUE(Parses("submit --to a@example.com --token t -"));
  EXPECT_FALSE(Parses("submit --to a@example.com --token t --count 2 -"));
  SubmitOptions options;
  options.token = "t";
  EXPECT_EQ(BuildSubmit(options).token(), "t");
}

TEST_F(Arguments, ABatchSaysItselfToWhomAndHowOften) {
  EXPECT_TRUE(Parses("submit --from a@example.com --batch list.jsonl letter.eml"));
  EXPECT_FALSE(Parses("submit --batch list.jsonl --to b@example.com"));
  EXPECT_FALSE(Parses("submit --batch list.jsonl --count 2"));
  EXPECT_FALSE(Parses("submit --batch list.jsonl --token t"));
  EXPECT_FALSE(Parses("submit --batch - -"));
}

TEST_F(Arguments, OnlyAConsumerAcknowledges) {
  EXPECT_TRUE(Parses("outcomes --consumer books --ack"));
  EXPECT_FALSE(Parses("outcomes --ack"));
  OutcomesOptions options;
  options.consumer = "books";
  options.from = "c";
  options.final_only = true;
  options.domains = {"*.example.net"};
  const v1::OutcomesStart start = BuildOutcomes(options).start();
  EXPECT_EQ(start.consumer(), "books");
  EXPECT_EQ(start.after_cursor(), "c");
  EXPECT_TRUE(start.final_only());
  EXPECT_THAT(start.filter().domains(), ElementsAre("*.example.net"));
}

TEST_F(Arguments, SubmitTakesSeveralRecipients) {
  EXPECT_TRUE(Parses("submit --to a@example.com --to b@example.net --count 3 -"));
}

TEST_F(Arguments, DurationWithoutUnitIsWrongUsage) {
  EXPECT_FALSE(Parses("submit --to a@example.com --expires 30"));
}

TEST_F(Arguments, UnknownKindOfEventIsWrongUsage) {
  EXPECT_FALSE(Parses("watch --events attempt,coffee"));
}

TEST_F(Arguments, DecideAheadNeedsANumberOfDeliveries) { EXPECT_FALSE(Parses("decide --ahead")); }

TEST_F(Arguments, DecideAheadWithANumberIsRunnable) {
  EXPECT_TRUE(Parses("decide --ahead --shutdown-after 5 --name x --default shutdown"));
}

TEST_F(Arguments, WhatFollowsAShutdownHasADuration) {
  EXPECT_TRUE(Parses("decide --shutdown-after 5 --then hold --for 10m --shadow"));
  EXPECT_FALSE(Parses("decide --shutdown-after 5 --then hold"));
  EXPECT_FALSE(Parses("decide --shutdown-after 5 --for 10m"));
  EXPECT_FALSE(Parses("decide --shutdown-after 5 --then sleep --for 10m"));
  EXPECT_FALSE(Parses("decide --then hold --for 10m"));
}

TEST_F(Arguments, AVerdictForAScopeHasOneRule) {
  EXPECT_FALSE(Parses("verdict"));
  EXPECT_FALSE(Parses("verdict scope a.test"));
  EXPECT_FALSE(Parses("verdict scope a.test --recycle --after-deliveries 2"));
  EXPECT_FALSE(Parses("verdict scope a.test --after-deliveries 0"));
  EXPECT_FALSE(Parses("verdict scope a.test --recycle --ttl soon"));
  EXPECT_TRUE(Parses("verdict scope *.a.test --binding b --after-age 5m --ttl 1h --json"));
}

TEST_F(Arguments, AVerdictForAConnectionNeedsNoRule) {
  EXPECT_FALSE(Parses("verdict connection"));
  EXPECT_FALSE(Parses("verdict connection 00 --keep --withdraw"));
  EXPECT_TRUE(Parses("verdict connection 00 --then avoid-host --for 1m"));
  EXPECT_FALSE(Parses("verdict connection 00 --keep --then avoid-host --for 1m"));
  EXPECT_FALSE(Parses("verdict connection 00 --withdraw --then hold --for 1m"));
}

TEST_F(Arguments, WhatFollowsARepeatedOptionIsAPositional) {
  const auto values = [this](const char* command, const char* name) {
    return app_.get_subcommand(command)->get_option(name)->results();
  };
  ASSERT_TRUE(Parses("submit --to b@example.net --to c@example.net letter.eml"));
  EXPECT_THAT(values("submit", "--to"), ElementsAre("b@example.net", "c@example.net"));
  ASSERT_TRUE(Parses("cancel --recipient b@example.net 0123456789abcdef0123456789abcdef"));
  EXPECT_THAT(values("cancel", "--recipient"), ElementsAre("b@example.net"));
  ASSERT_TRUE(Parses("watch --events attempt,closed --domain a.example --domain b.example"));
  EXPECT_THAT(values("watch", "--domain"), ElementsAre("a.example", "b.example"));
}

TEST_F(Arguments, MessagesKnowsStatesByName) {
  EXPECT_TRUE(Parses("messages --state deferred --state delivered"));
}

TEST_F(Arguments, MessagesRefusesAnUnknownState) { EXPECT_FALSE(Parses("messages --state lost")); }

TEST(BuildSubmit, CarriesEnvelopeBindingAndExpiry) {
  const SubmitOptions options{.from = "a@example.com",
                              .to = {"b@example.net", "c@example.org"},
                              .binding = "bulk",
                              .file = "-",
                              .expires = "2h",
                              .token = "t-1",
                              .batch = "",
                              .count = 1};
  const v1::SubmitRequest request = BuildSubmit(options);
  EXPECT_EQ(request.sender(), "a@example.com");
  EXPECT_EQ(request.token(), "t-1");
  EXPECT_THAT(request.recipients(), ElementsAre("b@example.net", "c@example.org"));
  EXPECT_EQ(request.binding(), "bulk");
  EXPECT_EQ(request.message_expiration().seconds(), 7200);
}

TEST(BuildSubmit, LeavesExpiryToTheServerByDefault) {
  EXPECT_FALSE(BuildSubmit(SubmitOptions()).has_message_expiration());
}

TEST(BuildListMessages, CarriesScopeAndStates) {
  const MessagesOptions options{.domain = "example.net",
                                .binding = "bulk",
                                .states = {v1::DISPOSITION_DEFERRED},
                                .limit = 10};
  const v1::ListMessagesRequest request = BuildListMessages(options);
  EXPECT_EQ(request.domain(), "example.net");
  EXPECT_EQ(request.binding(), "bulk");
  EXPECT_THAT(request.states(), ElementsAre(v1::DISPOSITION_DEFERRED));
}

TEST(BuildWatch, CarriesKindsFilterAndCursor) {
  WatchOptions options;
  options.filter = {.kinds = "attempt,closed", .domains = {"*.example.net"}, .bindings = {"bulk"}};
  options.after = "18446744073709551615:42";
  const v1::WatchRequest request = BuildWatch(options);
  EXPECT_THAT(request.kinds(),
              ElementsAre(v1::EVENT_KIND_DELIVERY_ATTEMPT, v1::EVENT_KIND_CONNECTION_CLOSED));
  EXPECT_THAT(request.filter().domains(), ElementsAre("*.example.net"));
  EXPECT_THAT(request.filter().bindings(), ElementsAre("bulk"));
  EXPECT_EQ(request.after().epoch(), 18446744073709551615U);
  EXPECT_EQ(request.after().sequence(), 42U);
}

TEST(ParseCursor, RefusesWhatIsNotTwoNumbers) {
  EXPECT_FALSE(ParseCursor("12"));
  EXPECT_FALSE(ParseCursor("12:"));
  EXPECT_FALSE(ParseCursor("a:1"));
}

}  // namespace
}  // namespace postern::client

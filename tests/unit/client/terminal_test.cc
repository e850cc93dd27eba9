#include "client/terminal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/format.h"

namespace postern::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Colours, StandForWhatAStateMeans) {
  EXPECT_EQ(PaintWord("delivered", true), "\033[32mdelivered\033[0m");
  EXPECT_EQ(PaintWord("deferred", true), "\033[33mdeferred\033[0m");
  EXPECT_EQ(PaintWord("failed", true), "\033[31mfailed\033[0m");
  EXPECT_EQ(PaintWord("queued", true), "queued");
  EXPECT_EQ(PaintWord("failed", false), "failed");
}

TEST(Colours, KnowEveryDispositionThatIsBad) {
  EXPECT_EQ(ColourOf(ShortName(v1::DISPOSITION_FAILED)), Colour::kBad);
  EXPECT_EQ(ColourOf(ShortName(v1::DISPOSITION_EXPIRED)), Colour::kBad);
  EXPECT_EQ(ColourOf(ShortName(v1::REQUEUE_REASON_GREETING_REFUSED)), Colour::kBad);
  EXPECT_EQ(ColourOf(ShortName(v1::REQUEUE_REASON_SUSPENDED)), Colour::kWaits);
}

TEST(Colours, DoNotShiftTheColumnsOfATable) {
  const std::vector<std::vector<std::string>> rows = {
      {"STATE", "N"}, {"failed", "1"}, {"queued", "10"}};
  EXPECT_EQ(FormatTable(rows, true),
            "STATE    N\n"
            "\033[31mfailed\033[0m   1\n"
            "queued  10\n");
  EXPECT_THAT(FormatTable(rows), Not(HasSubstr("\033")));
}

TEST(Colours, ShowTheOutcomeOfAnEvent) {
  v1::Event event;
  auto& attempt = *event.mutable_delivery_attempt();
  attempt.add_recipients()->set_disposition(v1::DISPOSITION_FAILED);
  EXPECT_THAT(FormatEvent(event, true), HasSubstr("\033[31mfailed\033[0m"));
  EXPECT_THAT(FormatEvent(event), Not(HasSubstr("\033")));
  event.mutable_post_initiate_connection_smtp()->set_error(v1::CONN_ERROR_CONNECT);
  EXPECT_THAT(FormatEvent(event, true), HasSubstr("\033[31mconnect\033[0m"));
}

// A terminal of our own.
class TerminalTest : public ::testing::Test {
 protected:
  TerminalTest() : descriptor_(posix_openpt(O_RDWR | O_NOCTTY)) {
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
  }
  ~TerminalTest() override {
    close(descriptor_);
    unsetenv("NO_COLOR");
  }
  const int descriptor_;
};

TEST_F(TerminalTest, HasColoursUnlessItIsToldOtherwise) {
  ASSERT_GE(descriptor_, 0);
  EXPECT_TRUE(HasColours(descriptor_));
  setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(HasColours(descriptor_));
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(HasColours(descriptor_));
  unsetenv("NO_COLOR");
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(HasColours(descriptor_));
}

TEST_F(TerminalTest, APipeHasNone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_FALSE(HasColours(ends[1]));
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace postern::client

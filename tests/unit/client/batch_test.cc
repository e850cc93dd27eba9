#include "client/batch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

namespace postern::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseBatchLine, TakesWhatTheLineSaysOverTheDefaults) {
  v1::SubmitRequest defaults;
  defaults.set_sender("me@example.com");
  defaults.set_content("Subject: hi\n\nHello\n");
  v1::SubmitRequest request;
  EXPECT_EQ(
      ParseBatchLine(R"({"recipients": ["a@example.net"], "token": "t1"})", defaults, &request),
      "");
  EXPECT_EQ(request.sender(), "me@example.com");
  EXPECT_EQ(request.content(), "Subject: hi\n\nHello\n");
  EXPECT_THAT(request.recipients(), ElementsAre("a@example.net"));
  EXPECT_EQ(request.token(), "t1");
  EXPECT_EQ(ParseBatchLine(R"({"sender": "b@example.com", "content": "eAo="})", defaults, &request),
            "");
  EXPECT_EQ(request.sender(), "b@example.com");
  EXPECT_EQ(request.content(), "x\n");
  EXPECT_EQ(request.token(), "");
}

TEST(ParseBatchLine, SaysWhatIsWrong) {
  v1::SubmitRequest request;
  EXPECT_THAT(ParseBatchLine("hello", {}, &request), HasSubstr("not a SubmitRequest"));
  EXPECT_THAT(ParseBatchLine(R"({"recipient": "a@example.net"})", {}, &request),
              HasSubstr("recipient"));
}

// A pipe that this test writes to.
class BatchTest : public ::testing::Test {
 protected:
  BatchTest() { EXPECT_EQ(pipe(ends_.data()), 0); }
  ~BatchTest() override {
    close(ends_[0]);
    Close();
  }
  void Write(const std::string& text) {
    ASSERT_EQ(write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void Close() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }
  std::array<int, 2> ends_ = {-1, -1};
};

TEST_F(BatchTest, NumbersTheLinesLeavesEmptyOnesOutAndTakesALastOneWithoutAnEnd) {
  Write("{\"token\": \"a\"}\n\n \r\nnonsense\n{\"token\": \"b\"}");
  Close();
  Batch batch(ends_[0], {});
  std::vector<std::uint64_t> lines;
  std::vector<bool> faulty;
  BulkItem item;
  while (batch.Next(item)) {
    lines.push_back(item.line);
    faulty.push_back(!item.fault.empty());
  }
  EXPECT_THAT(lines, ElementsAre(1U, 4U, 5U));
  EXPECT_THAT(faulty, ElementsAre(false, true, false));
  EXPECT_EQ(item.request.token(), "b");
  EXPECT_EQ(batch.error(), "");
}

TEST_F(BatchTest, IsReadyWhenALineIsThereAndNotBefore) {
  Batch batch(ends_[0], {});
  EXPECT_FALSE(batch.Ready());
  Write("{}\n{}\n");
  EXPECT_TRUE(batch.Ready());
  BulkItem item;
  ASSERT_TRUE(batch.Next(item));
  EXPECT_TRUE(batch.Ready());
  ASSERT_TRUE(batch.Next(item));
  EXPECT_FALSE(batch.Ready());
}

TEST_F(BatchTest, StopEndsTheWaitForALine) {
  Batch batch(ends_[0], {});
  std::thread other([&batch] { batch.Stop(); });
  BulkItem item;
  EXPECT_FALSE(batch.Next(item));
  other.join();
}

TEST(BatchError, IsToldWhenTheInputCannotBeRead) {
  const int directory = open(".", O_RDONLY | O_CLOEXEC);
  Batch batch(directory, {});
  BulkItem item;
  EXPECT_FALSE(batch.Next(item));
  EXPECT_THAT(batch.error(), HasSubstr("cannot read"));
  close(directory);
}

TEST(FrameIsFull, BoundsFramesButLetsOneSubmissionThrough) {
  EXPECT_FALSE(FrameIsFull(0, 0, 50 << 20));
  EXPECT_TRUE(FrameIsFull(1, 100, 50 << 20));
  EXPECT_FALSE(FrameIsFull(63, 1000, 100));
  EXPECT_TRUE(FrameIsFull(64, 1000, 100));
}

TEST(Copies, AreSoManyAndSayHowFar) {
  v1::SubmitRequest request;
  request.set_token("t");
  Copies copies(request, 2);
  BulkItem item;
  ASSERT_TRUE(copies.Next(item));
  EXPECT_EQ(item.request.token(), "t");
  EXPECT_DOUBLE_EQ(item.share, 0.5);
  ASSERT_TRUE(copies.Next(item));
  EXPECT_FALSE(copies.Next(item));
}

}  // namespace
}  // namespace postern::client

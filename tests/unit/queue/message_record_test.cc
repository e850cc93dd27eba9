#include "server/queue/message_record.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace postern::queue {
namespace {

TEST(MessageRecordTest, TheLastRowFinishesTheMessage) {
  MessageRecord record(2);
  EXPECT_FALSE(record.Finish());
  EXPECT_TRUE(record.Finish());
}

TEST(MessageRecordTest, OneOfManyThreadsIsTheLast) {
  MessageRecord record(8);
  std::atomic<int> last = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { last += record.Finish() ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(last, 1);
}

}  // namespace
}  // namespace postern::queue

#include "server/net/watchdog.h"

#include <gtest/gtest.h>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <optional>

#include "tests/unit/net/run.h"

namespace postern::net {
namespace {

using std::chrono::steady_clock;

TEST(WatchdogTest, ClosesTheStreamSoThatItsReadEnds) {
  asio::io_context io;
  Pair pair(io);
  Watchdog watchdog(io.get_executor(), [&pair] { pair.here.Close(); });
  const auto begin = steady_clock::now();
  watchdog.ExpireAfter(absl::Milliseconds(30));
  EXPECT_FALSE(watchdog.expired());
  RunToEnd(io, [](TcpStream* stream) -> asio::awaitable<void> {
    char byte = 0;
    const IoResult result = co_await stream->ReadSome(&byte, 1);
    EXPECT_FALSE(result.ok());
  }(&pair.here));
  EXPECT_TRUE(watchdog.expired());
  EXPECT_GE(steady_clock::now() - begin, std::chrono::milliseconds(30));
}

TEST(WatchdogTest, ExpiresAtTheLastDeadlineThatWasSet) {
  for (const bool later_first : {false, true}) {
    asio::io_context io;
    int calls = 0;
    Watchdog watchdog(io.get_executor(), [&calls] { ++calls; });
    const auto begin = steady_clock::now();
    watchdog.ExpireAfter(later_first ? absl::Hours(1) : absl::Milliseconds(5));
    watchdog.ExpireAfter(absl::Milliseconds(40));
    io.run();
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(watchdog.expired());
    EXPECT_GE(steady_clock::now() - begin, std::chrono::milliseconds(40));
  }
}

TEST(WatchdogTest, ALaterDeadlineIsOnlyAStore) {
  asio::io_context io;
  Watchdog watchdog(io.get_executor(), [] {});
  watchdog.ExpireAfter(absl::Milliseconds(1));
  for (int i = 0; i < 100; ++i) watchdog.ExpireAfter(absl::Milliseconds(20));
  // The first wait, and the one after it fired early: not one for each of the calls.
  EXPECT_LE(io.run(), 2u);
  EXPECT_TRUE(watchdog.expired());
}

TEST(WatchdogTest, DoesNotExpireWithoutADeadline) {
  asio::io_context io;
  int calls = 0;
  Watchdog watchdog(io.get_executor(), [&calls] { ++calls; });
  watchdog.ExpireAfter(absl::InfiniteDuration());
  io.run();  // nothing is armed
  watchdog.ExpireAfter(absl::Milliseconds(1));
  watchdog.Clear();
  io.restart();
  io.run();
  EXPECT_EQ(calls, 0);
  EXPECT_FALSE(watchdog.expired());
  // It can be set again.
  watchdog.ExpireAfter(absl::Milliseconds(1));
  io.restart();
  io.run();
  EXPECT_EQ(calls, 1);
}

TEST(WatchdogTest, ExpiresOnce) {
  asio::io_context io;
  int calls = 0;
  Watchdog watchdog(io.get_executor(), [&calls] { ++calls; });
  watchdog.ExpireAfter(-absl::InfiniteDuration());
  EXPECT_EQ(calls, 0);  // never from within a call
  io.run();
  watchdog.ExpireAfter(absl::ZeroDuration());
  io.restart();
  io.run();
  EXPECT_EQ(calls, 1);
}

TEST(WatchdogTest, IsSilentOnceGone) {
  asio::io_context io;
  int calls = 0;
  std::optional<Watchdog> watchdog;
  watchdog.emplace(io.get_executor(), [&calls] { ++calls; });
  watchdog->ExpireAfter(absl::ZeroDuration());
  watchdog.reset();
  io.run();
  EXPECT_EQ(calls, 0);
}

TEST(WatchdogTest, MayBeDestroyedByItsOwnExpiry) {
  asio::io_context io;
  std::optional<Watchdog> watchdog;
  watchdog.emplace(io.get_executor(), [&watchdog] { watchdog.reset(); });
  watchdog->ExpireAfter(absl::ZeroDuration());
  io.run();
  EXPECT_FALSE(watchdog.has_value());
}

}  // namespace
}  // namespace postern::net

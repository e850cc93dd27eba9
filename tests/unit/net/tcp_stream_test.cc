#include "server/net/tcp_stream.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/error.hpp>
#include <string>
#include <vector>

#include "tests/unit/net/run.h"

namespace postern::net {
namespace {

std::string Pattern(std::size_t size, unsigned seed) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<char>((i * 31 + i / 251 + seed) & 0x7F);
  return out;
}

asio::awaitable<void> ReadAll(TcpStream* stream, std::string* out) {
  std::vector<char> buffer(5000);
  for (;;) {
    const IoResult result = co_await stream->ReadSome(buffer.data(), buffer.size());
    out->append(buffer.data(), result.bytes);
    if (!result.ok()) {
      EXPECT_EQ(result.error, asio::error::eof);
      break;
    }
  }
}

// Writes `data` in two parts and says that there is no more.
asio::awaitable<void> WriteAndEnd(TcpStream* stream, const std::string* data) {
  const absl::string_view all = *data;
  const IoResult result =
      co_await stream->WriteAll(all.substr(0, all.size() / 3), all.substr(all.size() / 3));
  EXPECT_TRUE(result.ok()) << result.error.message();
  EXPECT_EQ(result.bytes, data->size());
  ::shutdown(stream->native_handle(), SHUT_WR);
}

TEST(TcpStreamTest, MovesMoreThanTheKernelHoldsBothWaysAtOnce) {
  asio::io_context io;
  Pair pair(io);
  const std::string ping = Pattern(12'000'000, 1), pong = Pattern(9'000'001, 2);
  std::string got_ping, got_pong;
  asio::co_spawn(io, WriteAndEnd(&pair.here, &ping), asio::detached);
  asio::co_spawn(io, WriteAndEnd(&pair.there, &pong), asio::detached);
  asio::co_spawn(io, ReadAll(&pair.here, &got_pong), asio::detached);
  RunToEnd(io, ReadAll(&pair.there, &got_ping));
  EXPECT_TRUE(got_ping == ping);
  EXPECT_TRUE(got_pong == pong);
}

TEST(TcpStreamTest, WritesEitherPartAlone) {
  asio::io_context io;
  Pair pair(io);
  RunToEnd(io, [](Pair* p) -> asio::awaitable<void> {
    IoResult result = co_await p->here.WriteAll("ab", "");
    EXPECT_EQ(result.bytes, 2u);
    result = co_await p->here.WriteAll("", "cd");
    EXPECT_EQ(result.bytes, 2u);
    result = co_await p->here.WriteAll("", "");
    EXPECT_TRUE(result.ok());
    std::string got;
    p->here.Close();
    co_await ReadAll(&p->there, &got);
    EXPECT_EQ(got, "abcd");
  }(&pair));
}

TEST(TcpStreamTest, SendsSmallWritesAtOnce) {
  asio::io_context io;
  Pair pair(io);
  int on = 0;
  socklen_t size = sizeof on;
  ASSERT_EQ(::getsockopt(pair.here.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
  EXPECT_NE(on, 0);
}

TEST(TcpStreamTest, EndsAPendingReadWhenClosed) {
  asio::io_context io;
  Pair pair(io);
  IoResult result;
  const auto read = [](TcpStream* stream, IoResult* out) -> asio::awaitable<void> {
    char byte = 0;
    *out = co_await stream->ReadSome(&byte, 1);
    EXPECT_EQ(stream->native_handle(), -1);
  };
  asio::co_spawn(io, read(&pair.here, &result), asio::detached);
  RunToEnd(io, [](TcpStream* stream) -> asio::awaitable<void> {
    stream->Close();
    co_return;
  }(&pair.here));
  EXPECT_EQ(result.error, asio::error::operation_aborted);
}

TEST(TcpStreamTest, EndsAPendingWriteWhenClosedAndTellsWhatWentOut) {
  asio::io_context io;
  Pair pair(io);
  const std::string data(20'000'000, 'x');  // the peer does not read
  IoResult result;
  const auto write = [](TcpStream* stream, const std::string* bytes,
                        IoResult* out) -> asio::awaitable<void> {
    *out = co_await stream->WriteAll(*bytes, "");
  };
  asio::co_spawn(io, write(&pair.here, &data, &result), asio::detached);
  io.poll();
  pair.here.Close();
  io.run();
  EXPECT_EQ(result.error, asio::error::operation_aborted);
  EXPECT_GT(result.bytes, 0u);
  EXPECT_LT(result.bytes, data.size());
}

TEST(TcpStreamTest, FailsOnceClosedByEitherSide) {
  asio::io_context io;
  Pair pair(io);
  RunToEnd(io, [](Pair* p) -> asio::awaitable<void> {
    p->there.Close();
    char byte = 0;
    IoResult result = co_await p->here.ReadSome(&byte, 1);
    EXPECT_EQ(result.error, asio::error::eof);
    // The first write is answered by a reset; one of the next ones hears of it, without SIGPIPE.
    // How soon is the kernel's affair.
    do {
      result = co_await p->here.WriteAll("x", "");
    } while (result.ok());
    EXPECT_FALSE(result.ok());
    p->here.Close();
    result = co_await p->here.WriteAll("x", "");
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.bytes, 0u);
    result = co_await p->here.ReadSome(&byte, 1);
    EXPECT_FALSE(result.ok());
  }(&pair));
}

TEST(TcpStreamTest, NamesBothEndsAlsoAfterClose) {
  asio::io_context io;
  Pair pair(io);
  const std::string local = pair.here.local_address();
  EXPECT_EQ(local.rfind("127.0.0.1:", 0), 0u);
  EXPECT_EQ(pair.there.remote_address(), local);
  EXPECT_EQ(pair.there.local_address(), pair.here.remote_address());
  pair.here.Close();
  EXPECT_EQ(pair.here.local_address(), local);
}

}  // namespace
}  // namespace postern::net

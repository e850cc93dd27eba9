#include "server/net/connector.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "tests/unit/net/run.h"

namespace postern::net {
namespace {

using asio::ip::tcp;

const asio::ip::address kLoopback = asio::ip::address_v4::loopback();

ConnectResult Dial(asio::io_context& io, const tcp::endpoint& remote,
                   const std::optional<asio::ip::address>& source = std::nullopt,
                   absl::Duration timeout = absl::Seconds(60)) {
  ConnectResult result;
  const auto dial = [](tcp::endpoint to, std::optional<asio::ip::address> from,
                       absl::Duration limit, ConnectResult* out) -> asio::awaitable<void> {
    *out = co_await Connect(to, from, limit);
  };
  RunToEnd(io, dial(remote, source, timeout, &result));
  return result;
}

TEST(ConnectorTest, ConnectsAndMovesBytes) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(kLoopback, 0));
  ConnectResult result = Dial(io, acceptor.local_endpoint());
  ASSERT_EQ(result.failure, ConnectFailure::kNone) << result.detail;
  ASSERT_NE(result.stream, nullptr);
  TcpStream peer(acceptor.accept());
  EXPECT_EQ(result.stream->local_address(), peer.remote_address());
  RunToEnd(io, [](Stream* from, Stream* to) -> asio::awaitable<void> {
    co_await from->WriteAll("hello", "");
    char buffer[16];
    const IoResult read = co_await to->ReadSome(buffer, sizeof buffer);
    EXPECT_EQ(std::string(buffer, read.bytes), "hello");
  }(result.stream.get(), &peer));
}

TEST(ConnectorTest, ConnectsFromTheSourceAddress) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(kLoopback, 0));
  const ConnectResult result =
      Dial(io, acceptor.local_endpoint(), asio::ip::make_address("127.0.0.9"));
  ASSERT_EQ(result.failure, ConnectFailure::kNone) << result.detail;
  EXPECT_EQ(result.stream->local_address().rfind("127.0.0.9:", 0), 0u);
}

TEST(ConnectorTest, CallsARefusalConnect) {
  asio::io_context io;
  // Keeps its port from others, and does not listen.
  const tcp::socket nobody(io, tcp::endpoint(kLoopback, 0));
  const ConnectResult result = Dial(io, nobody.local_endpoint());
  EXPECT_EQ(result.failure, ConnectFailure::kConnect);
  EXPECT_EQ(result.stream, nullptr);
  EXPECT_EQ(result.detail, "Connection refused");
}

TEST(ConnectorTest, CallsAForeignSourceAddressBind) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(kLoopback, 0));
  const ConnectResult result =
      Dial(io, acceptor.local_endpoint(), asio::ip::make_address("198.51.100.1"));
  EXPECT_EQ(result.failure, ConnectFailure::kBind);
  EXPECT_EQ(result.detail, "Cannot assign requested address");
}

TEST(ConnectorTest, CallsASourceAddressOfTheOtherFamilyBind) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(kLoopback, 0));
  const ConnectResult result = Dial(io, acceptor.local_endpoint(), asio::ip::make_address("::1"));
  EXPECT_EQ(result.failure, ConnectFailure::kBind);
}

TEST(ConnectorTest, CallsAWantOfDescriptorsSocket) {
  asio::io_context io;
  const tcp::endpoint remote(kLoopback, 9);
  // Asio opens what it needs for itself at the first use.
  tcp::socket warm_up(io, tcp::v4());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const ConnectResult result = Dial(io, remote);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(result.failure, ConnectFailure::kSocket);
  EXPECT_EQ(result.detail, "Too many open files");
}

int NoSocket(int, int, int) {
  errno = EMFILE;
  return -1;
}

int NoOption(int, int, int, const void*, socklen_t) {
  errno = EPERM;
  return -1;
}

int NoFamily(int, int, int) {
  errno = EAFNOSUPPORT;
  return -1;
}

ConnectResult ResultWith(const SocketCalls& calls) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(kLoopback, 0));
  ConnectResult result;
  const auto dial = [](tcp::endpoint to, const SocketCalls* with,
                       ConnectResult* out) -> asio::awaitable<void> {
    const std::optional<asio::ip::address> source(kLoopback);
    *out = co_await Connect(to, source, absl::Seconds(60), *with);
  };
  RunToEnd(io, dial(acceptor.local_endpoint(), &calls, &result));
  result.stream.reset();
  return result;
}

ConnectFailure FailureWith(const SocketCalls& calls) { return ResultWith(calls).failure; }

TEST(ConnectorTest, TellsWhichStepOfThePreparationFailed) {
  EXPECT_EQ(FailureWith(kSystemCalls), ConnectFailure::kNone);
  EXPECT_EQ(FailureWith({NoSocket, ::setsockopt}), ConnectFailure::kSocket);
  EXPECT_EQ(FailureWith({::socket, NoOption}), ConnectFailure::kIoctl);
}

TEST(ConnectorTest, TellsFaultsOfThisMachineFromTheHosts) {
  EXPECT_EQ(ResultWith(kSystemCalls).fault, LocalFault::kNone);
  EXPECT_EQ(ResultWith({NoSocket, ::setsockopt}).fault, LocalFault::kMachine);
  EXPECT_EQ(ResultWith({NoFamily, ::setsockopt}).fault, LocalFault::kFamily);
  EXPECT_EQ(ResultWith({::socket, NoOption}).fault, LocalFault::kMachine);
  asio::io_context io;
  const tcp::socket bound(io, tcp::endpoint(kLoopback, 0));  // and does not listen
  const tcp::endpoint nobody = bound.local_endpoint();
  EXPECT_EQ(Dial(io, nobody).fault, LocalFault::kNone);
  EXPECT_EQ(Dial(io, nobody, asio::ip::make_address("198.51.100.1")).fault, LocalFault::kSource);
}

TEST(ConnectorTest, AsksTheKernelForARouteWithoutSendingAnything) {
  EXPECT_TRUE(HasRoute(tcp::endpoint(kLoopback, 9), std::nullopt));
  EXPECT_TRUE(HasRoute(tcp::endpoint(kLoopback, 9), kLoopback));
}

TEST(ConnectorTest, CallsAPeerThatDoesNotAnswerATimeout) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::v4());
  acceptor.bind(tcp::endpoint(kLoopback, 0));
  acceptor.listen(0);
  // The backlog is full once a connection does not come about; the kernel then drops each SYN.
  std::vector<ConnectResult> held;
  do {
    ASSERT_LT(held.size(), 16u);
    held.push_back(Dial(io, acceptor.local_endpoint(), std::nullopt, absl::Milliseconds(50)));
  } while (held.back().failure == ConnectFailure::kNone);
  EXPECT_GT(held.size(), 1u);
  EXPECT_EQ(held.back().failure, ConnectFailure::kTimeout);
  EXPECT_EQ(held.back().detail, "Connection timed out");
}

// Multicast is no place to dial: the kernel has no route to it for TCP.
TEST(ConnectorTest, CallsAMissingRouteUnreachable) {
  asio::io_context io;
  const ConnectResult result = Dial(io, tcp::endpoint(asio::ip::make_address("224.0.0.1"), 25),
                                    std::nullopt, absl::Seconds(5));
  EXPECT_EQ(result.failure, ConnectFailure::kUnreachable) << result.detail;
}

TEST(ConnectorTest, NamesEveryFailure) {
  EXPECT_EQ(Name(ConnectFailure::kNone), "none");
  EXPECT_EQ(Name(ConnectFailure::kSocket), "socket");
  EXPECT_EQ(Name(ConnectFailure::kIoctl), "ioctl");
  EXPECT_EQ(Name(ConnectFailure::kBind), "bind");
  EXPECT_EQ(Name(ConnectFailure::kConnect), "connect");
  EXPECT_EQ(Name(ConnectFailure::kUnreachable), "unreachable");
  EXPECT_EQ(Name(ConnectFailure::kTimeout), "timeout");
}

}  // namespace
}  // namespace postern::net

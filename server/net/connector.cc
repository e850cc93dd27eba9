#include "server/net/connector.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asio/detail/socket_option.hpp>
#include <asio/this_coro.hpp>
#include <cerrno>
#include <utility>

#include "server/net/await.h"
#include "server/net/endpoint.h"
#include "server/net/tcp_stream.h"
#include "server/net/watchdog.h"

namespace postern::net {
namespace {

using asio::ip::tcp;

ConnectFailure ClassOfConnectError(const std::error_code& error) {
  switch (error.value()) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return ConnectFailure::kUnreachable;
    case ETIMEDOUT:
      return ConnectFailure::kTimeout;
    case EADDRNOTAVAIL:  // the port of a bound socket is chosen only now, and there is none left
      return ConnectFailure::kBind;
    default:
      return ConnectFailure::kConnect;
  }
}

// Opens, sets up and binds the socket. kNone: ready to connect.
ConnectFailure Prepare(tcp::socket* socket, const tcp& protocol,
                       const std::optional<asio::ip::address>& source, const SocketCalls& calls,
                       std::error_code* error) {
  const int fd = calls.socket(protocol.family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) {
    *error = std::error_code(errno, std::system_category());
    return ConnectFailure::kSocket;
  }
  socket->assign(protocol, fd, *error);
  if (*error) {
    ::close(fd);
    return ConnectFailure::kSocket;
  }
  socket->non_blocking(true, *error);
  if (*error) return ConnectFailure::kIoctl;
  if (!source) return ConnectFailure::kNone;
  // Without this every bound socket takes a local port of its own, instead of one per destination.
  const int on = 1;
  if (calls.setsockopt(socket->native_handle(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
                       sizeof on) != 0) {
    *error = std::error_code(errno, std::system_category());
    return ConnectFailure::kIoctl;
  }
  socket->bind(tcp::endpoint(*source, 0), *error);
  return *error ? ConnectFailure::kBind : ConnectFailure::kNone;
}

// Whose fault a failure is.
LocalFault FaultOf(ConnectFailure failure, const std::error_code& error,
                   const tcp::endpoint& remote, const std::optional<asio::ip::address>& source) {
  switch (failure) {
    case ConnectFailure::kSocket:
      return error.value() == EAFNOSUPPORT ? LocalFault::kFamily : LocalFault::kMachine;
    case ConnectFailure::kIoctl:
      return LocalFault::kMachine;
    case ConnectFailure::kBind:
      // Without a source of our own choice there is none to be missing: no address of the family.
      return source.has_value() || HasRoute(remote, source) ? LocalFault::kSource
                                                            : LocalFault::kFamily;
    case ConnectFailure::kUnreachable:
      // A router on the way may have said it, which is not for us to answer for.
      return HasRoute(remote, source) ? LocalFault::kNone : LocalFault::kFamily;
    case ConnectFailure::kNone:
    case ConnectFailure::kConnect:
    case ConnectFailure::kTimeout:
      break;
  }
  return LocalFault::kNone;
}

ConnectResult Fail(ConnectFailure failure, const std::error_code& error,
                   const tcp::endpoint& remote, const std::optional<asio::ip::address>& source) {
  ConnectResult result;
  result.failure = failure;
  result.fault = FaultOf(failure, error, remote, source);
  result.detail = error.message();
  return result;
}

}  // namespace

bool HasRoute(const tcp::endpoint& remote, const std::optional<asio::ip::address>& source) {
  // Connecting a datagram socket looks up the route, and no more.
  const int fd = ::socket(remote.protocol().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno != EAFNOSUPPORT;
  int failed = 0;
  if (source.has_value()) {
    const tcp::endpoint from(*source, 0);
    failed = ::bind(fd, from.data(), static_cast<socklen_t>(from.size()));
  }
  // When it is the source that is missing, nothing is known of routes.
  const bool connected =
      failed != 0 || ::connect(fd, remote.data(), static_cast<socklen_t>(remote.size())) == 0;
  const int why = errno;
  ::close(fd);
  return connected || (why != ENETUNREACH && why != ENETDOWN && why != EADDRNOTAVAIL);
}

absl::string_view Name(ConnectFailure failure) {
  switch (failure) {
    case ConnectFailure::kNone:
      return "none";
    case ConnectFailure::kSocket:
      return "socket";
    case ConnectFailure::kIoctl:
      return "ioctl";
    case ConnectFailure::kBind:
      return "bind";
    case ConnectFailure::kConnect:
      return "connect";
    case ConnectFailure::kUnreachable:
      return "unreachable";
    case ConnectFailure::kTimeout:
      return "timeout";
  }
  return "";
}

asio::awaitable<ConnectResult> Connect(tcp::endpoint remote,
                                       std::optional<asio::ip::address> source,
                                       absl::Duration timeout, const SocketCalls& calls) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  tcp::socket socket(executor);
  std::error_code error;
  const ConnectFailure local_fault = Prepare(&socket, remote.protocol(), source, calls, &error);
  if (local_fault != ConnectFailure::kNone) {
    co_return Fail(local_fault, error, remote, source);
  }

  Watchdog watchdog(executor, [&socket] {
    std::error_code ignored;
    socket.close(ignored);
  });
  watchdog.ExpireAfter(timeout);
  const auto [connect_error] = co_await socket.async_connect(remote, kAsTuple);
  if (watchdog.expired()) {
    error = std::error_code(ETIMEDOUT, std::system_category());
    co_return Fail(ConnectFailure::kTimeout, error, remote, source);
  }
  if (connect_error) {
    co_return Fail(ClassOfConnectError(connect_error), connect_error, remote, source);
  }

  ConnectResult result;
  result.stream = std::make_unique<TcpStream>(std::move(socket));
  co_return result;
}

}  // namespace postern::net

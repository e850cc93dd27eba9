// Connect: one attempt to reach one address, from one source address.
#pragma once

#include <sys/socket.h>

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/net/local_fault.h"
#include "server/net/stream.h"

namespace postern::net {

// Why there is no connection: exactly one. Whose fault it is, ConnectResult::fault says.
enum class ConnectFailure : unsigned char {
  kNone = 0,
  kSocket,       // socket(): no descriptors, no such address family
  kIoctl,        // the socket could not be made non-blocking or given its options
  kBind,         // the source address is not of this machine, or has no port left
  kConnect,      // refused, or anything else that connect() says
  kUnreachable,  // no route to the network or host
  kTimeout,
};

// "socket", "ioctl", "bind", "connect", "unreachable", "timeout"; "none" for kNone.
absl::string_view Name(ConnectFailure failure);

struct ConnectResult {
  std::unique_ptr<Stream> stream;  // null on failure
  ConnectFailure failure = ConnectFailure::kNone;
  LocalFault fault = LocalFault::kNone;  // on failure: not kNone: this machine's, not the host's
  std::string detail;                    // on failure: the error in words
};

// The system calls that prepare a socket: a seam, because they fail only on a machine in trouble.
struct SocketCalls {
  int (*socket)(int family, int type, int protocol);
  int (*setsockopt)(int fd, int level, int option, const void* value, socklen_t size);
};
inline constexpr SocketCalls kSystemCalls{::socket, ::setsockopt};

// Does a route of this machine lead to `remote` (from `source`, if there is one)? Asks the kernel
// and sends nothing; true when it cannot be asked.
bool HasRoute(const asio::ip::tcp::endpoint& remote,
              const std::optional<asio::ip::address>& source);

// Dials `remote` on the executor of the calling coroutine, from `source` (any port) if there is
// one. Infinite `timeout`: the kernel's own. Cancelled (asio) attempts end as kConnect. Does not
// throw. `calls` outlives it.
asio::awaitable<ConnectResult> Connect(asio::ip::tcp::endpoint remote,
                                       std::optional<asio::ip::address> source,
                                       absl::Duration timeout,
                                       const SocketCalls& calls = kSystemCalls);

}  // namespace postern::net

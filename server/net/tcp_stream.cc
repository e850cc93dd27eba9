#include "server/net/tcp_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <cerrno>
#include <utility>

#include "server/net/await.h"
#include "server/net/endpoint.h"

namespace postern::net {
namespace {

// One sendmsg() of what is left of both, after `done` bytes. Never raises SIGPIPE.
ssize_t SendRest(int fd, absl::string_view first, absl::string_view second, std::size_t done) {
  iovec parts[2];
  std::size_t count = 0;
  const auto add = [&parts, &count](absl::string_view rest) {
    // The kernel only reads through it; iovec has no const form.
    parts[count++] = iovec{const_cast<char*>(rest.data()), rest.size()};
  };
  if (done < first.size()) {
    add(first.substr(done));
    if (!second.empty()) add(second);
  } else {
    add(second.substr(done - first.size()));
  }
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

}  // namespace

TcpStream::TcpStream(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
  std::error_code error;
  // A peer that is gone already makes any of these fail; the first read or write will say so.
  socket_.non_blocking(true, error);
  socket_.set_option(asio::ip::tcp::no_delay(true), error);
  local_ = socket_.local_endpoint(error);
  remote_ = socket_.remote_endpoint(error);
}

// Asio tries recv() before it suspends, and leaves even that out when the last read emptied the
// socket; a recv() of our own would be one system call more for every reply.
asio::awaitable<IoResult> TcpStream::ReadSome(char* data, std::size_t size) {
  const auto [error, bytes] =
      co_await socket_.async_read_some(asio::mutable_buffer(data, size), kAsTuple);
  co_return IoResult{bytes, error};
}

// The kernel nearly always takes everything at once; then this does not go through the reactor.
asio::awaitable<IoResult> TcpStream::WriteAll(absl::string_view first, absl::string_view second) {
  IoResult result;
  const std::size_t total = first.size() + second.size();
  while (result.bytes < total) {
    if (!socket_.is_open()) {
      result.error = asio::error::bad_descriptor;
      break;
    }
    const ssize_t sent = SendRest(socket_.native_handle(), first, second, result.bytes);
    if (sent >= 0) {
      result.bytes += static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      result.error = std::error_code(errno, std::system_category());
      break;
    }
    result.error = co_await WaitWritable();
    if (result.error) break;
  }
  co_return result;
}

asio::awaitable<std::error_code> TcpStream::WaitReadable() {
  const auto [error] = co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, kAsTuple);
  co_return error;
}

asio::awaitable<std::error_code> TcpStream::WaitWritable() {
  const auto [error] = co_await socket_.async_wait(asio::ip::tcp::socket::wait_write, kAsTuple);
  co_return error;
}

void TcpStream::NotifyReadable(std::function<void()> ready) {
  notify_ = std::make_shared<std::function<void()>>(std::move(ready));
  socket_.async_wait(asio::ip::tcp::socket::wait_read, [notify = notify_](std::error_code error) {
    if (!error && *notify) (*notify)();
  });
}

void TcpStream::CancelNotify() {
  if (notify_ == nullptr) return;
  *notify_ = nullptr;
  notify_ = nullptr;
  std::error_code ignored;  // a socket that is closed has nothing to cancel
  socket_.cancel(ignored);
}

void TcpStream::Close() {
  std::error_code ignored;  // the descriptor is gone whatever close() says
  socket_.close(ignored);
}

int TcpStream::native_handle() { return socket_.is_open() ? socket_.native_handle() : -1; }

std::string TcpStream::local_address() const { return FormatEndpoint(local_); }

std::string TcpStream::remote_address() const { return FormatEndpoint(remote_); }

}  // namespace postern::net

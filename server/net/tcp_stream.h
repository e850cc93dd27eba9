// TcpStream: a Stream over one TCP connection.
#pragma once

#include <asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>

#include "server/net/stream.h"

namespace postern::net {

class TcpStream final : public Stream {
 public:
  // Takes a connected socket and makes it non-blocking, with TCP_NODELAY: what a dialogue writes is
  // always a whole turn, so there is nothing to wait for.
  explicit TcpStream(asio::ip::tcp::socket socket);

  asio::awaitable<IoResult> ReadSome(char* data, std::size_t size) override;
  asio::awaitable<IoResult> WriteAll(absl::string_view first, absl::string_view second) override;
  asio::awaitable<std::error_code> WaitReadable() override;
  asio::awaitable<std::error_code> WaitWritable() override;
  void NotifyReadable(std::function<void()> ready) override;
  void CancelNotify() override;
  void Close() override;
  int native_handle() override;
  std::string local_address() const override;
  std::string remote_address() const override;

 private:
  asio::ip::tcp::socket socket_;
  std::shared_ptr<std::function<void()>> notify_;  // emptied by CancelNotify()
  asio::ip::tcp::endpoint local_;
  asio::ip::tcp::endpoint remote_;
};

}  // namespace postern::net

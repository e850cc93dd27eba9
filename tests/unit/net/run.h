// RunToEnd: runs a coroutine to its end. Pair: two connected streams.
#pragma once

#include <gtest/gtest.h>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <exception>
#include <utility>

#include "server/net/tcp_stream.h"

namespace postern::net {

inline void RunToEnd(asio::io_context& io, asio::awaitable<void> body) {
  bool ended = false;
  asio::co_spawn(io, std::move(body), [&ended](std::exception_ptr thrown) {
    ended = true;
    EXPECT_EQ(thrown, nullptr);
  });
  io.restart();
  io.run();
  EXPECT_TRUE(ended);
}

// Two ends of one connection over loopback.
struct Pair {
  explicit Pair(asio::io_context& io) : Pair(io, asio::ip::tcp::socket(io)) {}

  TcpStream here;
  TcpStream there;

 private:
  static asio::ip::tcp::socket Accept(asio::io_context& io, asio::ip::tcp::socket* dialled) {
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    dialled->connect(acceptor.local_endpoint());
    return acceptor.accept();
  }
  Pair(asio::io_context& io, asio::ip::tcp::socket dialled)
      : here(Accept(io, &dialled)), there(std::move(dialled)) {}
};

}  // namespace postern::net

// CaresChannel: DNS queries by c-ares, with Asio waiting for its sockets and its time limits.
//
// c-ares sends, tries again, changes servers and falls back to TCP; it is told which socket is
// ready. The sockets are ours (ares_set_socket_functions): Asio would close them a second time
// otherwise.
//
// Thread: one channel for each thread; everything, callbacks too, on the io_context's thread.
#pragma once

#include <ares.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/dns/wire.h"

namespace postern::dns {

struct ChannelOptions {
  // "ip", "ip:port" or "[ipv6]:port"; tried in this order. Empty: those of /etc/resolv.conf, read
  // once.
  std::vector<std::string> servers = {};
  absl::Duration try_timeout = absl::Seconds(3);  // at least 1 ms; doubles with each round
  int tries = 3;                                  // of every server
  // Queries beyond this wait their turn: c-ares looks for a free 16-bit id until it finds one, and
  // a burst of answers must fit into the socket's buffer.
  std::size_t max_queries = 1000;
};

class CaresChannel {
 public:
  // `status` is an ARES_* code; the packet may be empty if it is not ARES_SUCCESS, and is valid
  // only during the call. May be called inside Query. Must not destroy the channel.
  using Callback = std::function<void(int status, absl::Span<const std::uint8_t> packet)>;

  // INVALID_ARGUMENT for a server that is no address; INTERNAL if c-ares cannot start.
  static absl::StatusOr<std::unique_ptr<CaresChannel>> Create(asio::io_context& io,
                                                              const ChannelOptions& options);

  // Calls the callbacks of all queries under way, with ARES_EDESTRUCTION.
  // REQUIRES: the io_context still exists.
  ~CaresChannel();
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;

  // No query is under way or waits.
  bool idle() const { return under_way_ == 0 && line_.empty(); }

  // Asks for exactly this name: no search list. `done` is called once.
  void Query(std::string name, RecordType type, Callback done);

 private:
  struct Socket;
  struct Timer;
  struct Question {
    CaresChannel* channel;
    std::string name;
    RecordType type;
    Callback done;
  };

  CaresChannel(asio::io_context& io, const ChannelOptions& options);

  // What c-ares calls; `data` is the channel, or the Question.
  static ares_socket_t OpenSocket(int family, int type, int protocol, void* data);
  static int CloseSocket(ares_socket_t fd, void* data);
  static int Connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size, void* data);
  static ares_ssize_t Receive(ares_socket_t fd, void* buffer, std::size_t size, int flags,
                              sockaddr* from, ares_socklen_t* from_size, void* data);
  static ares_ssize_t Send(ares_socket_t fd, const iovec* parts, int count, void* data);
  static void SocketState(void* data, ares_socket_t fd, int readable, int writable);
  static void QueryDone(void* question, int status, int timeouts, unsigned char* packet, int size);
  static const ares_socket_functions kSocketFunctions;

  void StartWaiting();
  void ArmTimer(std::chrono::steady_clock::time_point at);
  void DisarmTimer();
  void OnTimer();
  static void WaitReadable(const std::shared_ptr<Socket>& socket);
  static void WaitWritable(const std::shared_ptr<Socket>& socket);

  asio::io_context& io_;
  const std::chrono::nanoseconds try_timeout_;
  const std::size_t max_queries_;
  ares_channel channel_ = nullptr;
  absl::flat_hash_map<int, std::shared_ptr<Socket>> sockets_;
  std::shared_ptr<Timer> timer_;
  // Queries that c-ares has; the others wait in line_. While starting_, StartWaiting is on the
  // stack.
  std::size_t under_way_ = 0;
  std::deque<std::unique_ptr<Question>> line_;
  bool starting_ = false;
  int last_rcode_ = 0;  // of the UDP packet that c-ares is looking at; 0 if none
};

}  // namespace postern::dns

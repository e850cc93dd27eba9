// DeadlineStream: a socket with one deadline for everything. cpp-httplib's own time limits begin
// anew with each octet, so that a client could hold a connection for hours.
//
// Thread: one.
#pragma once

#include <httplib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

namespace postern::http {

class DeadlineStream final : public httplib::Stream {
 public:
  using Clock = std::chrono::steady_clock;

  // Does not own `fd`.
  DeadlineStream(int fd, Clock::time_point deadline) : fd_(fd), deadline_(deadline) {}

  bool is_readable() const override;
  bool is_writable() const override;
  // Octets moved, 0 at the end, -1 on an error or at the deadline.
  ssize_t read(char* out, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return fd_; }

 private:
  bool Await(short events) const;

  const int fd_;
  const Clock::time_point deadline_;
  // cpp-httplib reads the head of a request octet by octet.
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace postern::http

#include "server/http/deadline_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace postern::http {

bool DeadlineStream::Await(short events) const {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0) return false;
    pollfd poll_fd{fd_, events, 0};
    const int ready = ::poll(&poll_fd, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool DeadlineStream::is_readable() const { return begin_ < end_ || Await(POLLIN); }

bool DeadlineStream::is_writable() const { return Await(POLLOUT); }

ssize_t DeadlineStream::read(char* out, std::size_t size) {
  while (begin_ == end_) {
    if (!Await(POLLIN)) return -1;
    const ssize_t count = ::recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count == 0) return 0;
    if (count < 0 && errno != EAGAIN && errno != EINTR) return -1;
    begin_ = 0;
    end_ = count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  const std::size_t count = std::min(size, end_ - begin_);
  std::memcpy(out, buffer_.data() + begin_, count);
  begin_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t DeadlineStream::write(const char* data, std::size_t size) {
  while (Await(POLLOUT)) {
    const ssize_t count = ::send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return count;
    if (errno != EAGAIN && errno != EINTR) return -1;
  }
  return -1;
}

// Nobody here asks who it is.
void DeadlineStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

void DeadlineStream::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

}  // namespace postern::http

#include "server/dns/cares_channel.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <asio/posix/stream_descriptor.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace postern::dns {
namespace {

// Larger UDP answers get lost in fragments (DNS flag day 2020); then comes TCP.
constexpr int kUdpAnswerBytes = 1232;

// c-ares counts initializations without a lock; gRPC makes one of its own in this process.
int InitLibraryOnce() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

// c-ares 1.18 tells SERVFAIL, NOTIMP and REFUSED from the last server as ARES_ECONNREFUSED.
int RealStatus(int status, int last_rcode) {
  if (status != ARES_ECONNREFUSED) return status;
  switch (last_rcode) {
    case ns_r_servfail:
      return ARES_ESERVFAIL;
    case ns_r_notimpl:
      return ARES_ENOTIMP;
    case ns_r_refused:
      return ARES_EREFUSED;
    default:
      return status;
  }
}

}  // namespace

// Handlers hold these by shared_ptr and outlive the channel, which clears `owner` when it goes.
struct CaresChannel::Socket {
  Socket(asio::io_context& io, int fd_in, CaresChannel* owner_in)
      : descriptor(io), fd(fd_in), owner(owner_in) {}

  asio::posix::stream_descriptor descriptor;
  const int fd;
  CaresChannel* owner;  // null once closed
  bool want_read = false;
  bool want_write = false;
  bool waiting_read = false;
  bool waiting_write = false;
};

struct CaresChannel::Timer {
  Timer(asio::io_context& io, CaresChannel* owner_in) : timer(io), owner(owner_in) {}

  asio::steady_timer timer;
  CaresChannel* owner;
  bool armed = false;
  std::uint64_t generation = 0;  // a handler of an earlier one does nothing
};

const ares_socket_functions CaresChannel::kSocketFunctions = {
    &CaresChannel::OpenSocket, &CaresChannel::CloseSocket, &CaresChannel::Connect,
    &CaresChannel::Receive, &CaresChannel::Send};

absl::StatusOr<std::unique_ptr<CaresChannel>> CaresChannel::Create(asio::io_context& io,
                                                                   const ChannelOptions& options) {
  if (const int status = InitLibraryOnce(); status != ARES_SUCCESS) {
    return absl::InternalError(absl::StrCat("c-ares: ", ares_strerror(status)));
  }
  std::unique_ptr<CaresChannel> channel(new CaresChannel(io, options));
  ares_options ares{};
  ares.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
  ares.ednspsz = kUdpAnswerBytes;
  ares.timeout = static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(channel->try_timeout_).count());
  ares.tries = std::max(options.tries, 1);
  ares.sock_state_cb = &CaresChannel::SocketState;
  ares.sock_state_cb_data = channel.get();
  const int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                   ARES_OPT_SOCK_STATE_CB;
  if (const int status = ares_init_options(&channel->channel_, &ares, mask);
      status != ARES_SUCCESS) {
    channel->channel_ = nullptr;
    return absl::InternalError(absl::StrCat("c-ares: ", ares_strerror(status)));
  }
  ares_set_socket_functions(channel->channel_, &kSocketFunctions, channel.get());
  if (!options.servers.empty()) {
    const std::string list = absl::StrJoin(options.servers, ",");
    if (ares_set_servers_ports_csv(channel->channel_, list.c_str()) != ARES_SUCCESS) {
      return absl::InvalidArgumentError(absl::StrCat("not a list of DNS servers: ", list));
    }
  }
  return channel;
}

CaresChannel::CaresChannel(asio::io_context& io, const ChannelOptions& options)
    : io_(io),
      try_timeout_(absl::ToChronoNanoseconds(
          std::clamp(options.try_timeout, absl::Milliseconds(1), absl::Minutes(1)))),
      max_queries_(std::max<std::size_t>(options.max_queries, 1)),
      timer_(std::make_shared<Timer>(io, this)) {}

CaresChannel::~CaresChannel() {
  starting_ = true;  // callbacks free places, but nothing may start any more
  timer_->owner = nullptr;
  timer_->timer.cancel();
  if (channel_ != nullptr) ares_destroy(channel_);
  for (std::unique_ptr<Question>& question : line_) question->done(ARES_EDESTRUCTION, {});
}

void CaresChannel::Query(std::string name, RecordType type, Callback done) {
  auto question = std::make_unique<Question>();
  *question = {this, std::move(name), type, std::move(done)};
  line_.push_back(std::move(question));
  StartWaiting();
}

// A loop, not a recursion from QueryDone: a thousand names in line may all fail at once.
void CaresChannel::StartWaiting() {
  if (starting_) return;
  starting_ = true;
  while (under_way_ < max_queries_ && !line_.empty()) {
    Question* question = line_.front().release();
    line_.pop_front();
    ++under_way_;
    // The callback may free the question before ares_query returns: the name is copied first.
    const std::string name = question->name;
    ares_query(channel_, name.c_str(), ns_c_in, static_cast<int>(question->type),
               &CaresChannel::QueryDone, question);
  }
  starting_ = false;
  // ares_timeout walks through all queries, so it is asked only when the timer fires: until then
  // the newest query's first time-out is the bound.
  if (under_way_ > 0) ArmTimer(std::chrono::steady_clock::now() + try_timeout_);
}

void CaresChannel::QueryDone(void* data, int status, int /*timeouts*/, unsigned char* packet,
                             int size) {
  std::unique_ptr<Question> question(static_cast<Question*>(data));
  CaresChannel& channel = *question->channel;
  --channel.under_way_;
  absl::Span<const std::uint8_t> span;
  if (packet != nullptr && size > 0) span = {packet, static_cast<std::size_t>(size)};
  question->done(RealStatus(status, channel.last_rcode_), span);
  channel.StartWaiting();
  if (channel.under_way_ == 0) channel.DisarmTimer();
}

void CaresChannel::ArmTimer(std::chrono::steady_clock::time_point at) {
  if (timer_->armed && timer_->timer.expiry() <= at) return;
  timer_->armed = true;
  const std::uint64_t generation = ++timer_->generation;
  timer_->timer.expires_at(at);
  timer_->timer.async_wait([timer = timer_, generation](const asio::error_code& error) {
    if (error || timer->owner == nullptr || timer->generation != generation) return;
    timer->armed = false;
    timer->owner->OnTimer();
  });
}

// Without queries nothing may keep the io_context from running dry.
void CaresChannel::DisarmTimer() {
  timer_->armed = false;
  ++timer_->generation;
  timer_->timer.cancel();
}

void CaresChannel::OnTimer() {
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  timeval left{};
  if (under_way_ == 0 || ares_timeout(channel_, nullptr, &left) == nullptr) return;
  // One millisecond more, so that rounding does not make two rounds of each.
  ArmTimer(std::chrono::steady_clock::now() + std::chrono::seconds(left.tv_sec) +
           std::chrono::microseconds(left.tv_usec) + std::chrono::milliseconds(1));
}

ares_socket_t CaresChannel::OpenSocket(int family, int type, int protocol, void* data) {
  auto* channel = static_cast<CaresChannel*>(data);
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return ARES_SOCKET_BAD;
  if (type == SOCK_STREAM) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  auto socket = std::make_shared<Socket>(channel->io_, fd, channel);
  asio::error_code error;
  socket->descriptor.assign(fd, error);
  if (error) {
    ::close(fd);
    return ARES_SOCKET_BAD;
  }
  channel->sockets_[fd] = std::move(socket);
  return fd;
}

int CaresChannel::CloseSocket(ares_socket_t fd, void* data) {
  auto* channel = static_cast<CaresChannel*>(data);
  const auto found = channel->sockets_.find(fd);
  if (found == channel->sockets_.end()) return -1;
  const std::shared_ptr<Socket> socket = std::move(found->second);
  channel->sockets_.erase(found);
  socket->owner = nullptr;
  asio::error_code ignored;
  socket->descriptor.close(ignored);
  return 0;
}

int CaresChannel::Connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size,
                          void* /*data*/) {
  return ::connect(fd, address, size);
}

ares_ssize_t CaresChannel::Receive(ares_socket_t fd, void* buffer, std::size_t size, int flags,
                                   sockaddr* from, ares_socklen_t* from_size, void* data) {
  const ares_ssize_t count = ::recvfrom(fd, buffer, size, flags, from, from_size);
  // A query that ends because of this packet ends before the next one is read. With TCP (no
  // `from`) a read is not a packet.
  const bool packet = from != nullptr && count > 3;
  static_cast<CaresChannel*>(data)->last_rcode_ =
      packet ? static_cast<const unsigned char*>(buffer)[3] & 0xF : 0;
  return count;
}

// A server that closes its TCP connection must cost us an error, not SIGPIPE.
ares_ssize_t CaresChannel::Send(ares_socket_t fd, const iovec* parts, int count, void* /*data*/) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

void CaresChannel::SocketState(void* data, ares_socket_t fd, int readable, int writable) {
  auto* channel = static_cast<CaresChannel*>(data);
  const auto found = channel->sockets_.find(fd);
  if (found == channel->sockets_.end()) return;
  const std::shared_ptr<Socket> socket = found->second;
  socket->want_read = readable != 0;
  socket->want_write = writable != 0;
  WaitReadable(socket);
  WaitWritable(socket);
}

void CaresChannel::WaitReadable(const std::shared_ptr<Socket>& socket) {
  if (socket->owner == nullptr || !socket->want_read || socket->waiting_read) return;
  socket->waiting_read = true;
  socket->descriptor.async_wait(
      asio::posix::stream_descriptor::wait_read, [socket](const asio::error_code& error) {
        socket->waiting_read = false;
        if (error || socket->owner == nullptr) return;
        ares_process_fd(socket->owner->channel_, socket->fd, ARES_SOCKET_BAD);
        WaitReadable(socket);  // unless c-ares has closed it
      });
}

void CaresChannel::WaitWritable(const std::shared_ptr<Socket>& socket) {
  if (socket->owner == nullptr || !socket->want_write || socket->waiting_write) return;
  socket->waiting_write = true;
  socket->descriptor.async_wait(
      asio::posix::stream_descriptor::wait_write, [socket](const asio::error_code& error) {
        socket->waiting_write = false;
        if (error || socket->owner == nullptr) return;
        ares_process_fd(socket->owner->channel_, ARES_SOCKET_BAD, socket->fd);
        WaitWritable(socket);
      });
}

}  // namespace postern::dns

#include "server/http/server.h"

#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/mutex.h"
#include "server/http/connection_threads.h"
#include "server/http/deadline_stream.h"

namespace postern::http {
namespace {

constexpr char kText[] = "text/plain; charset=utf-8";
constexpr char kMetricsText[] = "text/plain; version=0.0.4; charset=utf-8";
// The library's 5 overflow in a burst of clients: then a probe's SYN is repeated after a second.
constexpr int kBacklog = 128;
constexpr std::size_t kMaxBodyBytes = 1024;  // no request here needs one

struct HostPort {
  std::string shown_host;  // with the brackets of IPv6
  std::string host;
  int port = 0;
};

absl::StatusOr<HostPort> ParseHostPort(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  HostPort parsed;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &parsed.port) || parsed.port < 0 ||
      parsed.port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("not \"host:port\": \"", address, "\""));
  }
  parsed.shown_host = address.substr(0, colon);
  absl::string_view host = parsed.shown_host;
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  parsed.host = std::string(host);
  return parsed;
}

void Answer(httplib::Response& response, int status, const std::string& text) {
  response.status = status;
  response.set_content(absl::StrCat(text, "\n"), kText);
}

// The library's default is SO_REUSEPORT: a second daemon would take half of the probes, unnoticed.
void ReuseAddressOnly(int fd) {
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

}  // namespace

class Server::Listener : private httplib::Server {
 public:
  explicit Listener(ServerOptions options);

  absl::StatusOr<int> Bind(const HostPort& address);
  void Run();   // returns when it accepts connections
  void Halt();  // returns when all threads have ended

 private:
  bool process_and_close_socket(socket_t fd) override;
  bool Register(int fd);  // false if halting
  void Unregister(int fd);

  const ServerOptions options_;
  std::thread thread_;

  base::Mutex mu_;
  bool halting_ ABSL_GUARDED_BY(mu_) = false;
  std::set<int> open_ ABSL_GUARDED_BY(mu_);  // closed only after they have left this set
};

Server::Listener::Listener(ServerOptions options) : options_(std::move(options)) {
  set_socket_options(ReuseAddressOnly);
  set_payload_max_length(kMaxBodyBytes);
  Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(options_.metrics(), kMetricsText);
  });
  Get("/livez", [this](const httplib::Request&, httplib::Response& response) {
    const bool live = options_.live();
    Answer(response, live ? 200 : 503, live ? "ok" : "no progress");
  });
  Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
    const absl::Status status = options_.ready();
    Answer(response, status.ok() ? 200 : 503,
           status.ok() ? std::string("ok") : std::string(status.message()));
  });
  Get("/startupz", [this](const httplib::Request&, httplib::Response& response) {
    const bool started = options_.started();
    Answer(response, started ? 200 : 503, started ? "ok" : "starting");
  });
  set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;  // a probe's 503
    Answer(response, response.status,
           response.status == 404 ? absl::StrCat("not found: ", request.path,
                                                 "; there are /metrics /livez /readyz /startupz")
                                  : absl::StrCat("error ", response.status));
  });
}

absl::StatusOr<int> Server::Listener::Bind(const HostPort& address) {
  errno = 0;
  const int port = address.port == 0                          ? bind_to_any_port(address.host)
                   : bind_to_port(address.host, address.port) ? address.port
                                                              : -1;
  if (port > 0) {
    ::listen(svr_sock_, kBacklog);
    return port;
  }
  return absl::UnavailableError(absl::StrCat("cannot listen for HTTP on ", address.shown_host, ":",
                                             address.port, errno == 0 ? "" : ": ",
                                             errno == 0 ? "" : std::strerror(errno)));
}

void Server::Listener::Run() {
  // stop() is without effect until the library asks for its task queue.
  std::promise<void> running;
  new_task_queue = [this, &running]() -> httplib::TaskQueue* {
    auto* queue = new ConnectionThreads(options_.max_connections);  // the library deletes it
    running.set_value();
    return queue;
  };
  thread_ = std::thread([this] { listen_after_bind(); });
  running.get_future().wait();
}

void Server::Listener::Halt() {
  {
    base::MutexLock lock(mu_);
    halting_ = true;
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  stop();
  thread_.join();
}

bool Server::Listener::Register(int fd) {
  base::MutexLock lock(mu_);
  if (!halting_) open_.insert(fd);
  return !halting_;
}

void Server::Listener::Unregister(int fd) {
  base::MutexLock lock(mu_);
  open_.erase(fd);
}

bool Server::Listener::process_and_close_socket(socket_t fd) {
  bool answered = false;
  if (Register(fd)) {
    DeadlineStream stream(
        fd, DeadlineStream::Clock::now() + absl::ToChronoMilliseconds(options_.time_limit));
    bool closed = false;
    answered = process_request(stream, /*close_connection=*/true, closed, nullptr);
    Unregister(fd);
  }
  ::shutdown(fd, SHUT_RDWR);
  ::close(fd);
  return answered;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  if (options.address.empty()) return std::unique_ptr<Server>(new Server(nullptr, "", 0));
  const absl::StatusOr<HostPort> address = ParseHostPort(options.address);
  if (!address.ok()) return address.status();
  auto listener = std::make_unique<Listener>(std::move(options));
  const absl::StatusOr<int> port = listener->Bind(*address);
  if (!port.ok()) return port.status();
  listener->Run();
  return std::unique_ptr<Server>(
      new Server(std::move(listener), absl::StrCat(address->shown_host, ":", *port), *port));
}

Server::Server(std::unique_ptr<Listener> listener, std::string address, int port)
    : listener_(std::move(listener)), address_(std::move(address)), port_(port) {}

Server::~Server() { Stop(); }

void Server::Stop() {
  if (listener_ == nullptr) return;
  listener_->Halt();
  listener_.reset();
}

}  // namespace postern::http

// Server: /metrics and the probes over plain HTTP, on an address of their own. Kubernetes' probes
// present no client certificate, so they cannot share the gRPC port.
//
//   /metrics   the registry in Prometheus' text format 0.0.4
//   /livez     200 "ok" while the process makes progress, else 503
//   /readyz    200 "ok" while it takes mail, else 503 with the reason
//   /startupz  200 "ok" once the start is over: it answers calls, whether it takes mail or not
// Anything else is 404, as text. One request for each connection.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace postern::http {

// The callbacks are called on threads of the server, several at a time, and must not block; they
// must stay callable until Stop has returned.
struct ServerOptions {
  std::string address;  // "127.0.0.1:9091", "[::]:9091"; port 0: any; empty: no server
  std::function<std::string()> metrics;
  std::function<bool()> live;
  std::function<bool()> started;
  std::function<absl::Status()> ready;
  // From accept to the last octet of the answer, however the client dawdles: then it is cut.
  absl::Duration time_limit = absl::Seconds(2);
  // One more has to wait until another ends; it takes that many slow clients to delay a probe.
  std::size_t max_connections = 64;
};

class Server {
 public:
  // Listens and answers when it returns. INVALID_ARGUMENT if the address is not "host:port";
  // UNAVAILABLE naming the address if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options);

  ~Server();  // Stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // As it was given, with the port that is really bound; empty if there is no server.
  const std::string& address() const { return address_; }
  int port() const { return port_; }

  // Cuts connections, joins all threads. Afterwards no callback runs. May be called again, by the
  // same thread.
  void Stop();

 private:
  class Listener;
  Server(std::unique_ptr<Listener> listener, std::string address, int port);

  std::unique_ptr<Listener> listener_;  // null without server, and once stopped
  std::string address_;
  int port_ = 0;
};

}  // namespace postern::http

// RpcServer: gRPC in front of intake, control, message source and bridge.
//
//   absl::StatusOr<std::unique_ptr<rpc::RpcServer>> server =
//       rpc::RpcServer::Start({.listeners = {{"127.0.0.1:9090"}}}, deps);
//   ...
//   control.BeginDrain(budget);
//   (*server)->NoteDraining(budget);      // health, readiness of streams
//   (*server)->Shutdown(absl::Seconds(2));
//
// Two queues of one thread each: hooks, so that a verdict never waits behind a submission, and
// everything else. Thread: any, unless it says otherwise.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/rpc/access.h"
#include "server/rpc/context.h"

namespace postern::rpc {

struct Listener {
  // "127.0.0.1:9090", port 0 = any free one; or "unix:/run/postern.sock".
  std::string address;
  // Allows an address that is not loopback. Whoever reaches it controls the service.
  bool insecure = false;
};

struct ServerOptions {
  std::vector<Listener> listeners;
  AccessOptions access;
  Limits limits;
};

class RpcServer {
 public:
  // INVALID_ARGUMENT names the listener: not an address, or beyond loopback without `insecure`.
  // UNAVAILABLE: it cannot be listened on. `deps` are what Dependencies says.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(ServerOptions options, Dependencies deps);
  ~RpcServer();

  // The ports listened on, in the order of the listeners; 0 for a unix socket.
  const std::vector<int>& ports() const { return ports_; }

  // Tells health and every stream that the service drains. Delivery is told by its own Control.
  void NoteDraining(absl::Duration budget);

  // Streams are told and end with UNAVAILABLE; what has not ended after `budget` is cut. Returns
  // when nothing of a call is left: soon after `budget` at the latest, provided that Control and
  // MessageSource answer what they were asked. Again: does nothing. Not for a queue's thread.
  void Shutdown(absl::Duration budget);

 private:
  struct Parts;
  RpcServer(ServerOptions options, Dependencies deps);

  ServerOptions options_;
  Dependencies deps_;
  std::vector<int> ports_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace postern::rpc

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
// everything else. What takes its time is done on a worker: one for Control, so that queries of
// those who submit never keep an operator out, one for the rest. Thread: any, unless it says
// otherwise.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/rpc/access.h"
#include "server/rpc/context.h"
#include "server/rpc/listener.h"

namespace postern::rpc {

struct ServerOptions {
  std::vector<Listener> listeners;
  AccessOptions access = {};
  Limits limits;
};

class RpcServer {
 public:
  // INVALID_ARGUMENT names the listener: not an address, or beyond loopback in plaintext without
  // `insecure`. FAILED_PRECONDITION: its unix socket is in use. UNAVAILABLE: it cannot be listened
  // on. The files of its TLS are for CheckTlsFiles() to complain about. `deps` are what
  // Dependencies says.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(ServerOptions options, Dependencies deps);
  ~RpcServer();

  // The ports listened on, in the order of the listeners; 0 for a unix socket.
  const std::vector<int>& ports() const { return ports_; }

  // Tells health and every stream that the service drains. Delivery is told by its own Control.
  void NoteDraining(absl::Duration budget);

  // Puts other identities and rules for providers in force: for calls that come from now on, and
  // for each frame of the streams that are open; those that may not stay end.
  // Thread: any.
  void ReplaceAccess(AccessOptions options);

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

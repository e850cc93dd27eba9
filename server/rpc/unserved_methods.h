// UnservedMethods: answers every method that no service here serves with UNIMPLEMENTED naming it.
#pragma once

#include "server/rpc/calls.h"
#include "server/rpc/coro.h"
#include "server/rpc/stats.h"

namespace postern::rpc {

class UnservedMethods {
 public:
  UnservedMethods(Queue& queue, base::Registry& metrics)
      : queue_(queue), stats_(metrics, "other") {}

  grpc::AsyncGenericService& service() { return service_; }
  // Begins to accept calls. REQUIRES: the server is built, the queue not started yet.
  Detached Serve();

 private:
  Queue& queue_;
  grpc::AsyncGenericService service_;
  MethodStats stats_;
};

}  // namespace postern::rpc

// HealthService: grpc.health.v1.Health on our own queue. gRPC 1.51's own default service answers on
// the callback API, which stalls (see cq.h).
#pragma once

#include <set>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/rpc/context.h"
#include "server/rpc/method.h"

namespace postern::rpc {

class HealthService {
 public:
  HealthService(Queue& queue, Stopper& stopper, ServiceContext& context);

  grpc::Service& service() { return service_; }
  // Begins to accept calls. REQUIRES: the server is built, the queue not started yet.
  void Serve();

  // From now on the server as a whole and Delivery are NOT_SERVING; Hooks and Control still serve.
  // Thread: the queue's.
  void Drain();

 private:
  using Proto = grpc::health::v1::Health;
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;
  using AsyncService = Proto::WithAsyncMethod_Check<Proto::WithAsyncMethod_Watch<Proto::Service>>;
  using WatchCall = WriterCall<grpc::ByteBuffer, Response>;

  Response::ServingStatus StatusOf(const std::string& name) const;
  Task<absl::Status> Check(UnaryCall<Request, Response>& call);
  Detached ServeWatch();
  Task<absl::Status> Watch(WatchCall& call);

  Queue& queue_;
  Stopper& stopper_;
  bool draining_ = false;
  std::set<Signal*> watchers_;
  AsyncService service_;
  MethodStats watch_stats_;
  RequestReader watch_reader_;
  UnaryMethod<HealthService, AsyncService, Request, Response> check_;
};

}  // namespace postern::rpc

// HooksService: postern.v1.Hooks over the bridge.
#pragma once

#include "postern/v1/hooks.grpc.pb.h"
#include "server/rpc/context.h"
#include "server/rpc/decide_stream.h"
#include "server/rpc/method.h"

namespace postern::rpc {

// A thousand verdicts with their reasons, and two lists of globs at their limits, are more than
// other requests.
inline constexpr std::size_t kMaxHooksBytes = std::size_t{1} << 20;
template <>
constexpr RequestBounds BoundsOf<v1::PostVerdictsRequest>() {
  return {.bytes = kMaxHooksBytes};
}

class HooksService {
 public:
  HooksService(Queue& queue, Stopper& stopper, ServiceContext& context);

  grpc::Service& service() { return service_; }
  // Begins to accept calls. REQUIRES: the server is built, the queue not started yet.
  void Serve();

 private:
  using AsyncService = v1::Hooks::WithRawMethod_Watch<
      v1::Hooks::WithRawMethod_Decide<v1::Hooks::WithAsyncMethod_ListProviders<
          v1::Hooks::WithAsyncMethod_PostVerdicts<v1::Hooks::Service>>>>;
  using WatchCall = WriterCall<grpc::ByteBuffer, grpc::ByteBuffer>;

  Task<absl::Status> ListProviders(
      UnaryCall<v1::ListProvidersRequest, v1::ListProvidersResponse>& call);
  Task<absl::Status> PostVerdicts(
      UnaryCall<v1::PostVerdictsRequest, v1::PostVerdictsResponse>& call);
  Detached ServeWatch();
  Detached ServeDecide();
  Task<absl::Status> Watch(WatchCall& call);

  Queue& queue_;
  Stopper& stopper_;
  ServiceContext& context_;
  const DecideStream::Checks decide_checks_;
  const ServedCheck watch_check_;
  AsyncService service_;
  MethodGuard watch_guard_;
  RequestReader watch_reader_;
  MethodGuard decide_guard_;
  MethodStats watch_stats_;
  MethodStats decide_stats_;
  const DecideStream::Unknown unknown_;
  UnaryMethod<HooksService, AsyncService, v1::ListProvidersRequest, v1::ListProvidersResponse>
      list_providers_;
  UnaryMethod<HooksService, AsyncService, v1::PostVerdictsRequest, v1::PostVerdictsResponse>
      post_verdicts_;
};

}  // namespace postern::rpc

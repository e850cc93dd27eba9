// ControlService: postern.v1.Control over delivery's control.
#pragma once

#include "postern/v1/control.grpc.pb.h"
#include "server/rpc/config_calls.h"
#include "server/rpc/context.h"
#include "server/rpc/method.h"

namespace postern::rpc {

class ControlService {
 public:
  ControlService(Queue& queue, Stopper& stopper, ServiceContext& context);

  grpc::Service& service() { return service_; }
  // Begins to accept calls. REQUIRES: the server is built, the queue not started yet.
  void Serve();

 private:
  using C = v1::Control;
  using AsyncService = C::WithAsyncMethod_ListQueues<
      C::WithAsyncMethod_ListConnections<C::WithAsyncMethod_Drain<C::WithAsyncMethod_Suspend<
          C::WithAsyncMethod_Resume<C::WithAsyncMethod_Flush<C::WithAsyncMethod_Fail<
              C::WithAsyncMethod_ShutdownConnection<C::WithAsyncMethod_Reroute<
                  C::WithAsyncMethod_GetConfig<C::WithAsyncMethod_ApplyConfig<
                      C::WithAsyncMethod_SetPolicySwitch<C::Service>>>>>>>>>>>>;
  template <class Request, class Response>
  using Method = UnaryMethod<ControlService, AsyncService, Request, Response>;
  using DrainCall = WriterCall<grpc::ByteBuffer, v1::DrainProgress>;

  Task<absl::Status> ListQueues(UnaryCall<v1::ListQueuesRequest, v1::ListQueuesResponse>& call);
  Task<absl::Status> ListConnections(
      UnaryCall<v1::ListConnectionsRequest, v1::ListConnectionsResponse>& call);
  Task<absl::Status> Suspend(UnaryCall<v1::SuspendRequest, v1::SuspendResponse>& call);
  Task<absl::Status> Resume(UnaryCall<v1::ResumeRequest, v1::ResumeResponse>& call);
  Task<absl::Status> Flush(UnaryCall<v1::FlushRequest, v1::FlushResponse>& call);
  Task<absl::Status> Fail(UnaryCall<v1::FailRequest, v1::FailResponse>& call);
  Task<absl::Status> Reroute(UnaryCall<v1::RerouteRequest, v1::RerouteResponse>& call);
  Task<absl::Status> ShutdownConnection(
      UnaryCall<v1::ShutdownConnectionRequest, v1::ShutdownConnectionResponse>& call);
  Detached ServeDrain();
  Task<absl::Status> Drain(DrainCall& call, const v1::DrainRequest& request);
  // Of the configuration in force.
  absl::Duration StandardBudget() const;

  Queue& queue_;
  Stopper& stopper_;
  ServiceContext& context_;
  const ServedCheck drain_check_;
  AsyncService service_;
  MethodGuard drain_guard_;
  RequestReader drain_reader_;
  MethodStats drain_stats_;
  Method<v1::ListQueuesRequest, v1::ListQueuesResponse> list_queues_;
  Method<v1::ListConnectionsRequest, v1::ListConnectionsResponse> list_connections_;
  Method<v1::SuspendRequest, v1::SuspendResponse> suspend_;
  Method<v1::ResumeRequest, v1::ResumeResponse> resume_;
  Method<v1::FlushRequest, v1::FlushResponse> flush_;
  Method<v1::FailRequest, v1::FailResponse> fail_;
  Method<v1::RerouteRequest, v1::RerouteResponse> reroute_;
  Method<v1::ShutdownConnectionRequest, v1::ShutdownConnectionResponse> shutdown_connection_;
  ConfigCalls config_calls_;
  UnaryMethod<ConfigCalls, AsyncService, v1::GetConfigRequest, v1::GetConfigResponse> get_config_;
  UnaryMethod<ConfigCalls, AsyncService, v1::ApplyConfigRequest, v1::ApplyConfigResponse>
      apply_config_;
  UnaryMethod<ConfigCalls, AsyncService, v1::SetPolicySwitchRequest, v1::SetPolicySwitchResponse>
      set_switch_;
};

}  // namespace postern::rpc

// DeliveryService: postern.v1.Delivery over the intake and the message source.
#pragma once

#include <memory>

#include "postern/v1/delivery.grpc.pb.h"
#include "server/rpc/context.h"
#include "server/rpc/method.h"
#include "server/rpc/outcomes_stream.h"
#include "server/rpc/submit_stream.h"

namespace postern::rpc {

class DeliveryService {
 public:
  DeliveryService(Queue& queue, Stopper& stopper, ServiceContext& context);

  grpc::Service& service() { return service_; }
  // Begins to accept calls. REQUIRES: the server is built, the queue not started yet.
  void Serve();

 private:
  // Served methods on our queue; the others go to UnservedMethods.
  using D = v1::Delivery;
  using AsyncService =
      D::WithAsyncMethod_Submit<D::WithAsyncMethod_SubmitStream<D::WithAsyncMethod_GetMessage<
          D::WithAsyncMethod_ListMessages<D::WithAsyncMethod_CancelMessage<
              D::WithAsyncMethod_ResolveMessage<D::WithAsyncMethod_Outcomes<D::Service>>>>>>>;
  template <class Request, class Response>
  using Method = UnaryMethod<DeliveryService, AsyncService, Request, Response>;

  Task<absl::Status> Submit(UnaryCall<v1::SubmitRequest, v1::SubmitReceipt>& call);
  Task<absl::Status> GetMessage(UnaryCall<v1::GetMessageRequest, v1::Message>& call);
  Task<absl::Status> ListMessages(
      UnaryCall<v1::ListMessagesRequest, v1::ListMessagesResponse>& call);
  Task<absl::Status> CancelMessage(UnaryCall<v1::CancelMessageRequest, v1::Message>& call);
  absl::Status CheckOwner(const base::Id& message_id, const Identity& identity);
  Task<absl::Status> ResolveMessage(UnaryCall<v1::ResolveMessageRequest, v1::Message>& call);
  Detached ServeSubmitStream();
  Detached ServeOutcomes();

  Queue& queue_;
  Stopper& stopper_;
  ServiceContext& context_;
  const std::shared_ptr<ByteBudget> budget_;  // outlives the service in the intake's callbacks
  const ServedCheck served_submission_;
  AsyncService service_;
  MethodGuard stream_guard_;
  MethodGuard outcomes_guard_;
  MethodStats stream_stats_;
  MethodStats outcomes_stats_;
  OutcomesHub outcomes_hub_;
  Method<v1::SubmitRequest, v1::SubmitReceipt> submit_;
  Method<v1::GetMessageRequest, v1::Message> get_message_;
  Method<v1::ListMessagesRequest, v1::ListMessagesResponse> list_messages_;
  Method<v1::CancelMessageRequest, v1::Message> cancel_message_;
  Method<v1::ResolveMessageRequest, v1::Message> resolve_message_;
};

}  // namespace postern::rpc

// UnaryMethod: accepts the calls of one unary method and hands each to a handler of the service.
//
//   UnaryMethod<DeliveryService, AsyncService, v1::SubmitRequest, v1::SubmitReceipt> submit_{
//       *this, queue, service_, &AsyncService::RequestSubmit, &DeliveryService::Submit, context,
//       "Delivery.Submit"};
//   submit_.Serve();
//
// Who may not, what is too much (request.h) and what is not served is refused, in this order,
// before the handler sees it: of a caller without the right nothing is parsed. Thread: the queue's.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "postern/v1/control.pb.h"
#include "postern/v1/delivery.pb.h"
#include "server/rpc/access.h"
#include "server/rpc/calls.h"
#include "server/rpc/context.h"
#include "server/rpc/coro.h"
#include "server/rpc/request.h"
#include "server/rpc/stats.h"
#include "server/rpc/unserved.h"

namespace postern::rpc {

// A configuration is as long as its owner makes it; whoever sends one has the right to anything.
template <class Request>
constexpr RequestBounds BoundsOf() {
  if (std::is_same_v<Request, v1::SubmitRequest>) return {kMaxFrameBytes, kMaxFields};
  if (std::is_same_v<Request, v1::ApplyConfigRequest>) return {.bytes = kMaxFrameBytes};
  return {};
}

template <class Impl, class Service, class Request, class Response>
class UnaryMethod {
 public:
  using CallType = UnaryCall<Request, Response>;
  using Accept = void (Service::*)(grpc::ServerContext*, Request*, typename CallType::Responder*,
                                   grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*);
  // Fills call.response, or says why not.
  using Handler = Task<absl::Status> (Impl::*)(CallType& call);

  UnaryMethod(Impl& impl, Queue& queue, Service& service, Accept accept, Handler handler,
              ServiceContext& context, std::string name)
      : impl_(impl),
        queue_(queue),
        service_(service),
        accept_(accept),
        handler_(handler),
        guard_(context.access, name),
        reader_(context.deps.metrics, name, BoundsOf<Request>()),
        stats_(context.deps.metrics, std::move(name)),
        served_(Request::descriptor()) {}

  // For what the handler itself denies.
  MethodGuard& guard() { return guard_; }

  // Waits for one call, and as soon as it is there for the next one too, until the server ends.
  Detached Serve() {
    auto call = std::make_unique<CallType>(queue_);
    if (!co_await call->Accept(service_, accept_)) co_return;
    Serve();
    InFlight in_flight(stats_);
    absl::Status status = guard_.Admit(*call);
    if (status.ok()) {
      status = reader_.Parse(call->received, &call->request);
      if (status.ok()) status = served_.Check(call->request);
      if (!status.ok()) guard_.AuditRefusal(*call, status);
    }
    call->received.Clear();
    if (status.ok()) status = co_await (impl_.*handler_)(*call);
    in_flight.Ended(status);
    co_await call->Finish(status);
    co_await call->Done();
  }

 private:
  Impl& impl_;
  Queue& queue_;
  Service& service_;
  const Accept accept_;
  const Handler handler_;
  MethodGuard guard_;
  RequestReader reader_;
  MethodStats stats_;
  const ServedCheck served_;
};

}  // namespace postern::rpc

#include "server/rpc/delivery_service.h"

#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_delivery.h"

namespace postern::rpc {
namespace {

// One unary submission, from the call to the intake and back.
struct PendingSubmit final : public Wakeup {
  using Wakeup::Wakeup;

  void Complete(absl::StatusOr<delivery::Receipt> outcome) {
    {
      base::MutexLock lock(mu);
      result.emplace(std::move(outcome));
    }
    Notify();
  }

  base::Mutex mu;
  std::optional<absl::StatusOr<delivery::Receipt>> result ABSL_GUARDED_BY(mu);
};

}  // namespace

DeliveryService::DeliveryService(Queue& queue, Stopper& stopper, ServiceContext& context)
    : queue_(queue),
      stopper_(stopper),
      context_(context),
      budget_(std::make_shared<ByteBudget>(context.limits.inflight_bytes)),
      served_submission_(v1::SubmitRequest::descriptor()),
      stream_guard_(context.access, "Delivery.SubmitStream"),
      outcomes_guard_(context.access, "Delivery.Outcomes"),
      stream_stats_(context.deps.metrics, "Delivery.SubmitStream"),
      outcomes_stats_(context.deps.metrics, "Delivery.Outcomes"),
      submit_(*this, queue, service_, &AsyncService::RequestSubmit, &DeliveryService::Submit,
              context, "Delivery.Submit"),
      get_message_(*this, queue, service_, &AsyncService::RequestGetMessage,
                   &DeliveryService::GetMessage, context, "Delivery.GetMessage"),
      list_messages_(*this, queue, service_, &AsyncService::RequestListMessages,
                     &DeliveryService::ListMessages, context, "Delivery.ListMessages"),
      cancel_message_(*this, queue, service_, &AsyncService::RequestCancelMessage,
                      &DeliveryService::CancelMessage, context, "Delivery.CancelMessage"),
      resolve_message_(*this, queue, service_, &AsyncService::RequestResolveMessage,
                       &DeliveryService::ResolveMessage, context, "Delivery.ResolveMessage") {
  context.deps.metrics.AddGaugeFunction(
      "postern_rpc_submission_bytes", "Bytes of submissions that are not stored yet.", {},
      [budget = budget_] { return static_cast<double>(budget->used()); });
}

void DeliveryService::Serve() {
  submit_.Serve();
  get_message_.Serve();
  list_messages_.Serve();
  cancel_message_.Serve();
  resolve_message_.Serve();
  ServeSubmitStream();
  ServeOutcomes();
}

Task<absl::Status> DeliveryService::Submit(UnaryCall<v1::SubmitRequest, v1::SubmitReceipt>& call) {
  auto pending = std::make_shared<PendingSubmit>(queue_);
  call.SignalWhenDone(&pending->signal());
  SubmitTo(context_.deps.intake, submit_.guard(), call, nullptr, budget_, call.request,
           [pending](absl::StatusOr<delivery::Receipt> result) {
             pending->Complete(std::move(result));
           });
  co_await pending->signal().Wait();
  call.SignalWhenDone(nullptr);
  base::MutexLock lock(pending->mu);
  if (!pending->result.has_value()) co_return absl::CancelledError("the client is gone");
  const absl::StatusOr<delivery::Receipt>& result = *pending->result;
  if (result.ok()) ToProto(*result, &call.response);
  co_return result.status();
}

Task<absl::Status> DeliveryService::GetMessage(
    UnaryCall<v1::GetMessageRequest, v1::Message>& call) {
  const absl::StatusOr<base::Id> id = IdFromText(call.request.message_id(), "message_id");
  if (!id.ok()) co_return id.status();
  std::function<absl::StatusOr<delivery::MessageView>()> read = [this, wanted = *id] {
    return context_.deps.messages.Get(wanted, delivery::MessageSource::History::kYes);
  };
  const absl::StatusOr<delivery::MessageView> message =
      co_await RunOn<delivery::MessageView>(context_.worker, queue_, std::move(read));
  if (!message.ok()) co_return message.status();
  // What belongs to another is not there for this one.
  if (!call.identity().MaySee(message->rows.front().submitter)) {
    co_return absl::NotFoundError(absl::StrCat("message_id: no message ", id->ToString()));
  }
  ToProto(*message, context_.deps.bindings, &call.response);
  co_return absl::OkStatus();
}

Task<absl::Status> DeliveryService::ListMessages(
    UnaryCall<v1::ListMessagesRequest, v1::ListMessagesResponse>& call) {
  using Page = delivery::MessageSource::Page;
  absl::StatusOr<delivery::MessageSource::Query> query = ToQuery(call.request);
  if (!query.ok()) co_return query.status();
  if (!call.identity().rights->all) query->submitter = call.identity().submitter();
  std::function<absl::StatusOr<Page>()> read = [this, wanted = *std::move(query)] {
    return context_.deps.messages.List(wanted);
  };
  const absl::StatusOr<Page> page = co_await RunOn<Page>(context_.worker, queue_, std::move(read));
  if (!page.ok()) co_return page.status();
  for (const delivery::MessageView& message : page->messages) {
    ToProto(message, context_.deps.bindings, call.response.add_messages());
  }
  if (!page->next.empty()) call.response.set_next_page_token(page->next.ToString());
  co_return absl::OkStatus();
}

Detached DeliveryService::ServeSubmitStream() {
  auto call = std::make_unique<SubmitStream::CallType>(queue_);
  if (!co_await call->Accept(service_, &AsyncService::RequestSubmitStream)) co_return;
  ServeSubmitStream();
  InFlight in_flight(stream_stats_);
  if (absl::Status denied = stream_guard_.Admit(*call); !denied.ok()) {
    in_flight.Ended(denied);
    co_await call->Finish(denied);
    co_await call->Done();
    co_return;
  }
  SubmitStream stream(*call, context_, stopper_, stream_guard_, budget_, served_submission_);
  const absl::Status status = co_await stream.Run();
  in_flight.Ended(status);
  co_await call->Finish(status);
  co_await stream.Joined();
  co_await call->Done();
}

Detached DeliveryService::ServeOutcomes() {
  auto call = std::make_unique<OutcomesStream::CallType>(queue_);
  if (!co_await call->Accept(service_, &AsyncService::RequestOutcomes)) co_return;
  ServeOutcomes();
  InFlight in_flight(outcomes_stats_);
  if (absl::Status denied = outcomes_guard_.Admit(*call); !denied.ok()) {
    in_flight.Ended(denied);
    co_await call->Finish(denied);
    co_await call->Done();
    co_return;
  }
  OutcomesStream stream(*call, context_, outcomes_hub_, stopper_, outcomes_guard_);
  const absl::Status status = co_await stream.Run();
  in_flight.Ended(status);
  co_await call->Finish(status);
  co_await stream.Joined();
  co_await call->Done();
}

}  // namespace postern::rpc

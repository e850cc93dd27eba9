// DeliveryService, second half: CancelMessage and ResolveMessage. Each leaves its audit line.
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/mail/hold.h"
#include "server/rpc/audit.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_delivery.h"
#include "server/rpc/convert_operations.h"
#include "server/rpc/delivery_service.h"

namespace postern::rpc {

// What belongs to another is not there for this one.
absl::Status DeliveryService::CheckOwner(const base::Id& message_id, const Identity& identity) {
  const absl::StatusOr<delivery::MessageView> message =
      context_.deps.messages.Get(message_id, delivery::MessageSource::History::kNo);
  if (!message.ok()) return message.status();
  if (identity.MaySee(message->rows.front().submitter)) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("message_id: no message ", message_id.ToString()));
}

Task<absl::Status> DeliveryService::CancelMessage(
    UnaryCall<v1::CancelMessageRequest, v1::Message>& call) {
  const v1::CancelMessageRequest& request = call.request;
  AuditEntry entry{"Delivery.CancelMessage",
                   call.identity().name,
                   request.message_id(),
                   request.reason(),
                   "",
                   CallerOf(call)};
  const absl::StatusOr<base::Id> id = IdFromText(request.message_id(), "message_id");
  absl::Status status = id.status();
  if (status.ok()) status = CheckReason(request.reason());
  if (status.ok()) {
    const std::vector<std::string> recipients(request.recipients().begin(),
                                              request.recipients().end());
    std::function<absl::StatusOr<delivery::MessageView>()> run =
        [this, wanted = *id, recipients, reason = request.reason(),
         identity = call.identity()]() -> absl::StatusOr<delivery::MessageView> {
      if (absl::Status owner = CheckOwner(wanted, identity); !owner.ok()) return owner;
      return context_.deps.operations.Cancel(wanted, recipients, reason);
    };
    const absl::StatusOr<delivery::MessageView> message =
        co_await RunOn<delivery::MessageView>(context_.worker, queue_, std::move(run));
    status = message.status();
    if (message.ok()) {
      ToProto(*message, context_.deps.bindings, &call.response);
      entry.detail =
          recipients.empty() ? "all recipients" : absl::StrCat(recipients.size(), " recipients");
    }
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> DeliveryService::ResolveMessage(
    UnaryCall<v1::ResolveMessageRequest, v1::Message>& call) {
  const v1::ResolveMessageRequest& request = call.request;
  AuditEntry entry{"Delivery.ResolveMessage",
                   call.identity().name,
                   request.message_id(),
                   "",
                   v1::InDoubtResolution_Name(request.resolution()),
                   CallerOf(call)};
  const absl::StatusOr<base::Id> id = IdFromText(request.message_id(), "message_id");
  const absl::StatusOr<delivery::Resolution> resolution = ToResolution(request.resolution());
  absl::Status status = id.status();
  if (status.ok()) status = resolution.status();
  if (status.ok()) {
    std::function<absl::StatusOr<delivery::MessageView>()> run =
        [this, wanted = *id, domain = mail::NormalDomain(request.domain()), how = *resolution,
         identity = call.identity()]() -> absl::StatusOr<delivery::MessageView> {
      if (absl::Status owner = CheckOwner(wanted, identity); !owner.ok()) return owner;
      return context_.deps.operations.Resolve(wanted, domain, how);
    };
    const absl::StatusOr<delivery::MessageView> message =
        co_await RunOn<delivery::MessageView>(context_.worker, queue_, std::move(run));
    status = message.status();
    if (message.ok()) ToProto(*message, context_.deps.bindings, &call.response);
  }
  Audit(entry, status);
  co_return status;
}

}  // namespace postern::rpc

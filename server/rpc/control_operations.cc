// ControlService, second half: what changes something. Every call leaves its audit line.
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/audit.h"
#include "server/rpc/control_service.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_control.h"
#include "server/rpc/convert_operations.h"

namespace postern::rpc {
namespace {

// What was asked for, even if it makes no sense.
std::string Text(const v1::Scope& scope) {
  return mail::Scope{scope.domain(), scope.binding()}.ToString();
}

}  // namespace

Task<absl::Status> ControlService::Suspend(
    UnaryCall<v1::SuspendRequest, v1::SuspendResponse>& call) {
  AuditEntry entry{"Control.Suspend",
                   call.identity().name,
                   Text(call.request.scope()),
                   call.request.reason(),
                   "",
                   CallerOf(call)};
  const absl::StatusOr<mail::Hold> hold =
      ToHold(call.request, context_.deps.clock.Now(), entry.who);
  absl::Status status = hold.status();
  if (status.ok()) {
    std::function<absl::StatusOr<std::uint64_t>()> run = [this, wanted = *hold] {
      return context_.deps.operations.Suspend(wanted);
    };
    const absl::StatusOr<std::uint64_t> queues =
        co_await RunOn<std::uint64_t>(context_.worker, queue_, std::move(run));
    status = queues.status();
    if (queues.ok()) {
      call.response.set_queues(*queues);
      entry.detail = absl::StrCat(
          *queues, " queues, until ",
          hold->until == absl::InfiniteFuture() ? "resumed" : absl::FormatTime(hold->until));
    }
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> ControlService::Resume(UnaryCall<v1::ResumeRequest, v1::ResumeResponse>& call) {
  using Resumed = delivery::Operations::Resumed;
  AuditEntry entry{"Control.Resume", call.identity().name, Text(call.request.scope()), "", "",
                   CallerOf(call)};
  const absl::StatusOr<mail::Scope> scope = ToScope(call.request.scope());
  absl::Status status = scope.status();
  if (status.ok()) {
    std::function<absl::StatusOr<Resumed>()> run = [this, wanted = *scope] {
      return context_.deps.operations.Resume(wanted);
    };
    const absl::StatusOr<Resumed> resumed =
        co_await RunOn<Resumed>(context_.worker, queue_, std::move(run));
    status = resumed.status();
    if (resumed.ok()) {
      call.response.set_queues(resumed->queues);
      for (const mail::Hold& hold : resumed->remaining) {
        ToProto(hold, call.response.add_remaining());
      }
      entry.detail = absl::StrCat(resumed->queues, " queues");
    }
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> ControlService::Flush(UnaryCall<v1::FlushRequest, v1::FlushResponse>& call) {
  const v1::FlushRequest& request = call.request;
  AuditEntry entry{"Control.Flush",
                   call.identity().name,
                   absl::StrCat(Text(request.scope()), request.message_id().empty() ? "" : " ",
                                request.message_id()),
                   "",
                   "",
                   CallerOf(call)};
  mail::Scope scope{"*", ""};
  base::Id message_id;
  absl::Status status;
  if (!request.message_id().empty()) {
    const absl::StatusOr<base::Id> id = IdFromText(request.message_id(), "message_id");
    status = id.status();
    if (id.ok()) message_id = *id;
  }
  if (status.ok() && (request.message_id().empty() || request.has_scope())) {
    absl::StatusOr<mail::Scope> given = ToScope(request.scope());
    status = given.status();
    if (given.ok()) scope = *std::move(given);
  }
  if (status.ok()) {
    std::function<absl::StatusOr<std::uint64_t>()> run = [this, scope, message_id] {
      return context_.deps.operations.Flush(scope, message_id);
    };
    const absl::StatusOr<std::uint64_t> rows =
        co_await RunOn<std::uint64_t>(context_.worker, queue_, std::move(run));
    status = rows.status();
    if (rows.ok()) {
      call.response.set_rows(*rows);
      entry.detail = absl::StrCat(*rows, " rows");
    }
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> ControlService::Fail(UnaryCall<v1::FailRequest, v1::FailResponse>& call) {
  AuditEntry entry{"Control.Fail", call.identity().name, Text(call.request.scope()), "", "",
                   CallerOf(call)};
  const absl::StatusOr<mail::Scope> scope = ToScope(call.request.scope());
  const absl::StatusOr<mail::Reply> reply = ToFailReply(call.request.reply());
  absl::Status status = scope.status();
  if (status.ok()) status = reply.status();
  if (status.ok()) {
    entry.reason = reply->ToString();
    const bool dry_run = call.request.dry_run();
    std::function<absl::StatusOr<std::uint64_t>()> run = [this, in = *scope, with = *reply,
                                                          dry_run] {
      return context_.deps.operations.Fail(in, with, dry_run);
    };
    const absl::StatusOr<std::uint64_t> rows =
        co_await RunOn<std::uint64_t>(context_.worker, queue_, std::move(run));
    status = rows.status();
    if (rows.ok()) {
      call.response.set_rows(*rows);
      entry.detail = absl::StrCat(*rows, dry_run ? " rows, dry run" : " rows");
    }
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> ControlService::Reroute(
    UnaryCall<v1::RerouteRequest, v1::RerouteResponse>& call) {
  AuditEntry entry{"Control.Reroute", call.identity().name, Text(call.request.scope()), "", "",
                   CallerOf(call)};
  const absl::StatusOr<mail::Scope> scope = ToScope(call.request.scope());
  absl::Status status = scope.status();
  if (status.ok()) {
    std::function<absl::StatusOr<std::uint64_t>()> run = [this, wanted = *scope,
                                                          binding = call.request.to_binding()] {
      return context_.deps.operations.Reroute(wanted, binding);
    };
    const absl::StatusOr<std::uint64_t> rows =
        co_await RunOn<std::uint64_t>(context_.worker, queue_, std::move(run));
    status = rows.status();
    if (rows.ok()) {
      call.response.set_rows(*rows);
      entry.detail = absl::StrCat(*rows, " rows to ", call.request.to_binding());
    }
  }
  Audit(entry, status);
  co_return status;
}

Task<absl::Status> ControlService::ShutdownConnection(
    UnaryCall<v1::ShutdownConnectionRequest, v1::ShutdownConnectionResponse>& call) {
  const v1::ShutdownConnectionRequest& request = call.request;
  AuditEntry entry{"Control.ShutdownConnection",
                   call.identity().name,
                   request.connection_id(),
                   request.reason(),
                   request.now() ? "now" : "after its transaction",
                   CallerOf(call)};
  const absl::StatusOr<base::Id> id = IdFromText(request.connection_id(), "connection_id");
  absl::Status status = id.status();
  if (status.ok()) status = CheckReason(request.reason());
  if (status.ok()) {
    std::function<absl::StatusOr<bool>()> run = [this, wanted = *id, &entry,
                                                 now = request.now()]() -> absl::StatusOr<bool> {
      absl::Status done =
          context_.deps.operations.ShutdownConnection(wanted, entry.who, entry.reason, now);
      if (!done.ok()) return done;
      return true;
    };
    const absl::StatusOr<bool> done = co_await RunOn<bool>(context_.worker, queue_, std::move(run));
    status = done.status();
  }
  Audit(entry, status);
  co_return status;
}

}  // namespace postern::rpc

#include "server/rpc/control_service.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/config/settings.h"
#include "server/rpc/audit.h"
#include "server/rpc/convert_control.h"
#include "server/rpc/convert_operations.h"

namespace postern::rpc {
namespace {

// Progress is told when it changes, and at least so often.
constexpr absl::Duration kProgressInterval = absl::Seconds(1);

bool Same(const delivery::DrainProgress& a, const delivery::DrainProgress& b) {
  return a.open_sessions == b.open_sessions && a.in_transaction == b.in_transaction &&
         a.queued_rows == b.queued_rows && a.done == b.done;
}

}  // namespace

ControlService::ControlService(Queue& queue, Stopper& stopper, ServiceContext& context)
    : queue_(queue),
      stopper_(stopper),
      context_(context),
      drain_check_(v1::DrainRequest::descriptor()),
      drain_guard_(context.access, "Control.Drain"),
      drain_reader_(context.deps.metrics, "Control.Drain"),
      drain_stats_(context.deps.metrics, "Control.Drain"),
      list_queues_(*this, queue, service_, &AsyncService::RequestListQueues,
                   &ControlService::ListQueues, context, "Control.ListQueues"),
      list_connections_(*this, queue, service_, &AsyncService::RequestListConnections,
                        &ControlService::ListConnections, context, "Control.ListConnections"),
      suspend_(*this, queue, service_, &AsyncService::RequestSuspend, &ControlService::Suspend,
               context, "Control.Suspend"),
      resume_(*this, queue, service_, &AsyncService::RequestResume, &ControlService::Resume,
              context, "Control.Resume"),
      flush_(*this, queue, service_, &AsyncService::RequestFlush, &ControlService::Flush, context,
             "Control.Flush"),
      fail_(*this, queue, service_, &AsyncService::RequestFail, &ControlService::Fail, context,
            "Control.Fail"),
      reroute_(*this, queue, service_, &AsyncService::RequestReroute, &ControlService::Reroute,
               context, "Control.Reroute"),
      shutdown_connection_(*this, queue, service_, &AsyncService::RequestShutdownConnection,
                           &ControlService::ShutdownConnection, context,
                           "Control.ShutdownConnection"),
      config_calls_(queue, context),
      get_config_(config_calls_, queue, service_, &AsyncService::RequestGetConfig,
                  &ConfigCalls::Get, context, "Control.GetConfig"),
      apply_config_(config_calls_, queue, service_, &AsyncService::RequestApplyConfig,
                    &ConfigCalls::Apply, context, "Control.ApplyConfig"),
      set_switch_(config_calls_, queue, service_, &AsyncService::RequestSetPolicySwitch,
                  &ConfigCalls::SetSwitch, context, "Control.SetPolicySwitch") {}

void ControlService::Serve() {
  list_queues_.Serve();
  list_connections_.Serve();
  suspend_.Serve();
  resume_.Serve();
  flush_.Serve();
  fail_.Serve();
  reroute_.Serve();
  shutdown_connection_.Serve();
  get_config_.Serve();
  apply_config_.Serve();
  set_switch_.Serve();
  ServeDrain();
}

Task<absl::Status> ControlService::ListQueues(
    UnaryCall<v1::ListQueuesRequest, v1::ListQueuesResponse>& call) {
  // One glob and one binding narrow the search at its source; the rest is sifted here.
  const v1::Filter& filter = call.request.filter();
  const std::string domain = filter.domains_size() == 1 ? filter.domains(0) : "";
  const std::string binding = filter.bindings_size() == 1 ? filter.bindings(0) : "";
  if (const auto matcher = ToMatcher(filter); !matcher.ok()) co_return matcher.status();
  std::function<absl::StatusOr<v1::ListQueuesResponse>()> ask =
      [this, domain, binding, &request = call.request]() -> absl::StatusOr<v1::ListQueuesResponse> {
    v1::ListQueuesResponse response;
    const absl::Status status = ToPage(request, context_.deps.control.ListQueues(domain, binding),
                                       context_.deps.clock.Now(), &response);
    if (!status.ok()) return status;
    if (request.page_token().empty()) {
      for (const mail::Hold& hold : context_.deps.operations.Holds()) {
        ToProto(hold, response.add_suspensions());
      }
    }
    return response;
  };
  absl::StatusOr<v1::ListQueuesResponse> response =
      co_await RunOn<v1::ListQueuesResponse>(context_.worker, queue_, std::move(ask));
  if (response.ok()) call.response.Swap(&*response);
  co_return response.status();
}

Task<absl::Status> ControlService::ListConnections(
    UnaryCall<v1::ListConnectionsRequest, v1::ListConnectionsResponse>& call) {
  if (const auto matcher = ToMatcher(call.request.filter()); !matcher.ok()) {
    co_return matcher.status();
  }
  using Response = v1::ListConnectionsResponse;
  std::function<absl::StatusOr<Response>()> ask =
      [this, &request = call.request]() -> absl::StatusOr<Response> {
    Response response;
    const absl::Status status = ToPage(request, context_.deps.control.ListConnections(),
                                       context_.deps.clock.Now(), &response);
    if (!status.ok()) return status;
    return response;
  };
  absl::StatusOr<Response> response =
      co_await RunOn<Response>(context_.worker, queue_, std::move(ask));
  if (response.ok()) call.response.Swap(&*response);
  co_return response.status();
}

absl::Duration ControlService::StandardBudget() const {
  if (context_.deps.config == nullptr) return context_.limits.drain_budget;
  return config::SettingsOf(*context_.deps.config->in_force().config).drain_budget;
}

Detached ControlService::ServeDrain() {
  auto call = std::make_unique<DrainCall>(queue_);
  if (!co_await call->Accept(service_, &AsyncService::RequestDrain)) co_return;
  ServeDrain();
  InFlight in_flight(drain_stats_);
  v1::DrainRequest request;
  absl::Status status = drain_guard_.Admit(*call);
  if (status.ok()) {
    status = drain_reader_.Parse(call->request, &request);
    if (status.ok()) status = drain_check_.Check(request);
    if (!status.ok()) drain_guard_.AuditRefusal(*call, status);
  }
  call->request.Clear();
  if (status.ok()) status = co_await Drain(*call, request);
  in_flight.Ended(status);
  co_await call->Finish(status);
  co_await call->Done();
}

Task<absl::Status> ControlService::Drain(DrainCall& call, const v1::DrainRequest& request) {
  using Progress = delivery::DrainProgress;
  const absl::StatusOr<absl::Duration> budget = DrainBudget(request, StandardBudget());
  AuditEntry entry{"Control.Drain", call.identity().name, "", "", "", CallerOf(call)};
  if (budget.ok()) {
    entry.detail = absl::StrCat("sessions have ", absl::FormatDuration(*budget), " to end");
  }
  Audit(entry, budget.status());
  if (!budget.ok()) co_return budget.status();
  context_.note_draining(*budget);
  std::function<absl::StatusOr<Progress>()> begin = [this, wanted = *budget] {
    context_.deps.control.BeginDrain(wanted);
    return absl::StatusOr<Progress>(context_.deps.control.drain_progress());
  };
  Signal pause(queue_);
  const Stopper::Listener listener(stopper_, pause);
  call.SignalWhenDone(&pause);
  absl::StatusOr<Progress> progress =
      co_await RunOn<Progress>(context_.worker, queue_, std::move(begin));
  Progress told;
  absl::Time told_at = absl::InfinitePast();
  absl::Status status = absl::CancelledError("the client is gone");
  while (!call.done()) {
    if (!progress.ok()) {
      status = progress.status();
      break;
    }
    const absl::Time now = Queue::Now();
    if (!Same(*progress, told) || now >= told_at + kProgressInterval) {
      v1::DrainProgress frame;
      ToProto(*progress, now - context_.drain.began(), context_.drain.deadline() - now, &frame);
      if (!co_await call.Write(frame)) break;
      told = *progress;
      told_at = now;
    }
    if (progress->done) {
      status = absl::OkStatus();
      break;
    }
    if (stopper_.stopping()) {
      status = absl::UnavailableError("the service stops");
      break;
    }
    if (absl::Status ended = drain_guard_.Renew(call); !ended.ok()) {
      status = std::move(ended);
      break;
    }
    co_await pause.WaitUntil(Queue::Now() + context_.limits.drain_progress);
    std::function<absl::StatusOr<Progress>()> look = [this] {
      return absl::StatusOr<Progress>(context_.deps.control.drain_progress());
    };
    progress = co_await RunOn<Progress>(context_.worker, queue_, std::move(look));
  }
  call.SignalWhenDone(nullptr);
  co_return status;
}

}  // namespace postern::rpc

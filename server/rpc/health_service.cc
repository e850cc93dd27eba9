#include "server/rpc/health_service.h"

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"

namespace postern::rpc {

HealthService::HealthService(Queue& queue, Stopper& stopper, ServiceContext& context)
    : queue_(queue),
      stopper_(stopper),
      watch_stats_(context.deps.metrics, "Health.Watch"),
      watch_reader_(context.deps.metrics, "Health.Watch"),
      check_(*this, queue, service_, &AsyncService::RequestCheck, &HealthService::Check, context,
             "Health.Check") {}

void HealthService::Serve() {
  check_.Serve();
  ServeWatch();
}

void HealthService::Drain() {
  draining_ = true;
  for (Signal* watcher : watchers_) watcher->Set();
}

HealthService::Response::ServingStatus HealthService::StatusOf(const std::string& name) const {
  if (name.empty() || name == "postern.v1.Delivery") {
    return draining_ || stopper_.stopping() ? Response::NOT_SERVING : Response::SERVING;
  }
  if (name == "postern.v1.Hooks" || name == "postern.v1.Control") {
    return stopper_.stopping() ? Response::NOT_SERVING : Response::SERVING;
  }
  return Response::SERVICE_UNKNOWN;
}

Task<absl::Status> HealthService::Check(UnaryCall<Request, Response>& call) {
  const Response::ServingStatus status = StatusOf(call.request.service());
  if (status == Response::SERVICE_UNKNOWN) {
    co_return absl::NotFoundError(
        absl::StrCat("service: no such service: ", call.request.service()));
  }
  call.response.set_status(status);
  co_return absl::OkStatus();
}

Detached HealthService::ServeWatch() {
  auto call = std::make_unique<WatchCall>(queue_);
  if (!co_await call->Accept(service_, &AsyncService::RequestWatch)) co_return;
  ServeWatch();
  InFlight in_flight(watch_stats_);
  const absl::Status status = co_await Watch(*call);
  in_flight.Ended(status);
  co_await call->Finish(status);
  co_await call->Done();
}

Task<absl::Status> HealthService::Watch(WatchCall& call) {
  Request request;
  absl::Status status = watch_reader_.Parse(call.request, &request);
  if (!status.ok()) co_return status;
  Signal changed(queue_);
  const Stopper::Listener listener(stopper_, changed);
  watchers_.insert(&changed);
  call.SignalWhenDone(&changed);
  std::optional<Response::ServingStatus> told;
  status = absl::CancelledError("the client is gone");
  while (!call.done()) {
    const Response::ServingStatus now = StatusOf(request.service());
    if (told != now) {
      Response response;
      response.set_status(now);
      if (!co_await call.Write(response)) break;
      told = now;
      continue;
    }
    if (stopper_.stopping()) {
      status = absl::UnavailableError("the service stops");
      break;
    }
    co_await changed.Wait();
  }
  call.SignalWhenDone(nullptr);
  watchers_.erase(&changed);
  co_return status;
}

}  // namespace postern::rpc

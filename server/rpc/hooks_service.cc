#include "server/rpc/hooks_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_hooks.h"
#include "server/rpc/convert_switch.h"
#include "server/rpc/frame_pump.h"

namespace postern::rpc {
namespace {

constexpr int kMaxPostedVerdicts = 1000;

void FillProvider(const ChainProvider& provider, v1::Provider* out) {
  out->set_name(provider.name);
  out->set_kind(provider.bridge ? v1::PROVIDER_KIND_BRIDGE : v1::PROVIDER_KIND_NATIVE);
  out->set_calls(provider.calls);
  *out->mutable_total_time() = ToProto(provider.total);
  *out->mutable_slowest() = ToProto(provider.slowest);
  out->set_non_zero(provider.non_zero);
}

// Who may only submit sees how policy fares, and not whose it is.
void HideClients(v1::ListProvidersResponse& response) {
  for (v1::RemoteProvider& provider : *response.mutable_remote()) {
    provider.clear_filter();
    provider.clear_streams();
  }
  for (v1::PolicySwitchState& state : *response.mutable_switches()) state.clear_provenance();
}

}  // namespace

HooksService::HooksService(Queue& queue, Stopper& stopper, ServiceContext& context)
    : queue_(queue),
      stopper_(stopper),
      context_(context),
      watch_check_(v1::WatchRequest::descriptor()),
      watch_guard_(context.access, "Hooks.Watch"),
      watch_reader_(context.deps.metrics, "Hooks.Watch", {.bytes = kMaxHooksBytes}),
      decide_guard_(context.access, "Hooks.Decide"),
      watch_stats_(context.deps.metrics, "Hooks.Watch"),
      decide_stats_(context.deps.metrics, "Hooks.Decide"),
      unknown_{context.deps.metrics.AddCounter("postern_rpc_unknown_frames_total",
                                               "Frames of Decide that this release does not know."),
               context.deps.metrics.AddCounter(kUnknownFieldsMetric, kUnknownFieldsHelp,
                                               {{"method", "Hooks.Decide"}})},
      list_providers_(*this, queue, service_, &AsyncService::RequestListProviders,
                      &HooksService::ListProviders, context, "Hooks.ListProviders"),
      post_verdicts_(*this, queue, service_, &AsyncService::RequestPostVerdicts,
                     &HooksService::PostVerdicts, context, "Hooks.PostVerdicts") {}

void HooksService::Serve() {
  list_providers_.Serve();
  post_verdicts_.Serve();
  ServeWatch();
  ServeDecide();
}

Task<absl::Status> HooksService::ListProviders(
    UnaryCall<v1::ListProvidersRequest, v1::ListProvidersResponse>& call) {
  if (context_.deps.chains) {
    v1::Chain* chain = nullptr;
    for (const ChainProvider& provider : context_.deps.chains()) {
      if (chain == nullptr || chain->hook() != provider.hook) {
        chain = call.response.add_chains();
        chain->set_hook(provider.hook);
      }
      if (!provider.name.empty()) FillProvider(provider, chain->add_providers());
    }
  }
  for (const bridge::ProviderStatus& provider : context_.deps.bridge.ListProviders()) {
    ToProto(provider, call.response.add_remote());
  }
  for (const bridge::SwitchState& state : context_.deps.bridge.policy_switch().List()) {
    ToProto(state, call.response.add_switches());
  }
  if (!call.identity().rights->SeesClients()) HideClients(call.response);
  co_return absl::OkStatus();
}

Task<absl::Status> HooksService::PostVerdicts(
    UnaryCall<v1::PostVerdictsRequest, v1::PostVerdictsResponse>& call) {
  if (call.request.verdicts_size() > kMaxPostedVerdicts) {
    co_return absl::InvalidArgumentError(absl::StrCat("verdicts: more than ", kMaxPostedVerdicts));
  }
  std::vector<bridge::Verdict> verdicts;
  for (v1::Verdict& verdict : *call.request.mutable_verdicts()) {
    verdicts.push_back(ToVerdict(verdict));
    verdicts.back().over_limit = !call.identity().TakeVerdict();
  }
  const std::string& provider = call.request.provider();
  bridge::Filter within;
  const absl::Status allowed = context_.access.ClampDecide(call.identity(), provider, within);
  if (!allowed.ok()) co_return post_verdicts_.guard().Deny(call, allowed);
  const std::string caller = absl::StrCat(call.identity().name, " at ", call.context.peer());
  const absl::StatusOr<std::vector<bridge::VerdictResult>> results =
      context_.deps.bridge.PostVerdicts(provider, caller, within, std::move(verdicts));
  if (!results.ok()) co_return results.status();
  for (const bridge::VerdictResult& result : *results) {
    if (result.status == bridge::VerdictStatus::kDenied) {
      DenyVerdict(post_verdicts_.guard(), call, provider, result);
    }
    ToProto(result, call.response.add_results());
  }
  co_return absl::OkStatus();
}

Detached HooksService::ServeWatch() {
  auto call = std::make_unique<WatchCall>(queue_);
  if (!co_await call->Accept(service_, &AsyncService::RequestWatch)) co_return;
  ServeWatch();
  InFlight in_flight(watch_stats_);
  absl::Status status = watch_guard_.Admit(*call);
  if (status.ok()) status = co_await Watch(*call);
  in_flight.Ended(status);
  co_await call->Finish(status);
  co_await call->Done();
}

Task<absl::Status> HooksService::Watch(WatchCall& call) {
  v1::WatchRequest request;
  if (absl::Status parsed = watch_reader_.Parse(call.request, &request); !parsed.ok()) {
    co_return parsed;
  }
  if (absl::Status status = watch_check_.Check(request); !status.ok()) co_return status;
  absl::StatusOr<bridge::WatchRequest> wanted = ToWatch(request);
  if (!wanted.ok()) co_return wanted.status();
  const absl::Status allowed = call.identity().rights->ClampWatch(wanted->filter);
  if (!allowed.ok()) co_return watch_guard_.Deny(call, allowed);
  const absl::StatusOr<std::shared_ptr<void>> place =
      TakeStreamPlace(context_.access, call.identity());
  if (!place.ok()) co_return place.status();
  wanted->client = call.identity().name;
  const bridge::Filter granted = wanted->filter;
  const auto still_granted = [&granted](const Identity& identity) {
    bridge::Filter left = granted;
    absl::Status narrowed = identity.rights->ClampWatch(left);
    return narrowed.ok() ? StillWhole(identity, granted, left) : narrowed;
  };
  const auto wakeup = std::make_shared<SubscriberWakeup>(queue_);
  absl::StatusOr<std::unique_ptr<bridge::Subscription>> subscription =
      context_.deps.bridge.Watch(*std::move(wanted), wakeup);
  if (!subscription.ok()) co_return subscription.status();

  const Stopper::Listener listener(stopper_, wakeup->signal());
  call.SignalWhenDone(&wakeup->signal());
  FramePump<WatchCall> pump(call, StreamKind::kWatch, *wakeup, watch_guard_, context_.limits,
                            context_.deps.bridge.epoch());
  absl::Status status = absl::CancelledError("the client is gone");
  while (!call.done()) {
    if (absl::Status ended = watch_guard_.Renew(call, still_granted); !ended.ok()) {
      status = std::move(ended);
      break;
    }
    if (stopper_.stopping()) {
      if (co_await pump.Flush(**subscription)) status = absl::UnavailableError("the service stops");
      break;
    }
    if (!co_await pump.Next(**subscription)) break;
  }
  call.SignalWhenDone(nullptr);
  co_return status;
}

Detached HooksService::ServeDecide() {
  auto call = std::make_unique<DecideCall>(queue_);
  if (!co_await call->Accept(service_, &AsyncService::RequestDecide)) co_return;
  ServeDecide();
  InFlight in_flight(decide_stats_);
  if (absl::Status denied = decide_guard_.Admit(*call); !denied.ok()) {
    in_flight.Ended(denied);
    co_await call->Finish(denied);
    co_await call->Done();
    co_return;
  }
  DecideStream stream(*call, context_, stopper_, decide_guard_, decide_checks_, unknown_);
  const absl::Status status = co_await stream.Run();
  in_flight.Ended(status);
  co_await call->Finish(status);
  co_await stream.Joined();
  co_await call->Done();
}

}  // namespace postern::rpc

#include "server/rpc/server.h"

#include <grpcpp/server_builder.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/delivery/operations.h"
#include "server/rpc/control_service.h"
#include "server/rpc/delivery_service.h"
#include "server/rpc/health_service.h"
#include "server/rpc/hooks_service.h"
#include "server/rpc/listener.h"
#include "server/rpc/request.h"
#include "server/rpc/unserved_methods.h"

namespace postern::rpc {
namespace {

constexpr int kKeepaliveMillis = 30'000;
constexpr int kKeepaliveTimeoutMillis = 10'000;
constexpr int kLeastPingIntervalMillis = 5'000;

absl::Status CannotListen(const std::vector<Listener>& listeners) {
  std::string addresses;
  for (const Listener& listener : listeners) {
    absl::StrAppend(&addresses, addresses.empty() ? "" : ", ", listener.address);
  }
  return absl::UnavailableError(absl::StrCat("cannot listen on ", addresses));
}

// What an operator must know about each start.
void SayWhoMayCall(const ServerOptions& options) {
  for (const Listener& listener : options.listeners) {
    const std::string warning = ExposureWarning(listener, options.access.identities.empty());
    if (!warning.empty()) base::Log().warn("rpc: {}", warning);
  }
  if (!options.access.identities.empty()) return;
  base::Log().info("rpc: no identities are configured: whoever can connect has all rights");
}

}  // namespace

// One queue with its thread and what ends its streams.
struct Lane {
  explicit Lane(std::unique_ptr<grpc::ServerCompletionQueue> cq) : queue(std::move(cq)) {}
  Queue queue;
  Stopper stopper;
};

struct RpcServer::Parts {
  Parts(grpc::ServerBuilder& builder, const Dependencies& given, const ServerOptions& options,
        std::function<void(absl::Duration)> note_draining)
      : deps(given),
        access(options.access, deps.metrics),
        hooks_lane(builder.AddCompletionQueue()),
        main_lane(builder.AddCompletionQueue()),
        context{access, deps, options.limits, worker, std::move(note_draining), drain},
        control_context{access, deps, options.limits, control_worker, context.note_draining, drain},
        delivery(main_lane.queue, main_lane.stopper, context),
        control(main_lane.queue, main_lane.stopper, control_context),
        health(main_lane.queue, main_lane.stopper, context),
        unserved(main_lane.queue, deps.metrics),
        hooks(hooks_lane.queue, hooks_lane.stopper, context) {
    builder.RegisterService(&delivery.service());
    builder.RegisterService(&control.service());
    builder.RegisterService(&health.service());
    builder.RegisterService(&hooks.service());
    builder.RegisterAsyncGenericService(&unserved.service());
  }

  void Serve() {
    delivery.Serve();
    control.Serve();
    health.Serve();
    hooks.Serve();
    unserved.Serve();
    hooks_lane.queue.Start();
    main_lane.queue.Start();
  }

  // The server must go before its queues; services before the server is legal, but not before
  // their calls have ended: see Shutdown().
  std::vector<std::shared_ptr<grpc::ServerCredentials>> credentials;
  const Dependencies deps;
  Access access;
  Worker worker;
  Worker control_worker;  // whoever may only submit must not hold up operators
  DrainState drain;
  Lane hooks_lane;
  Lane main_lane;
  ServiceContext context;
  ServiceContext control_context;
  DeliveryService delivery;
  ControlService control;
  HealthService health;
  UnservedMethods unserved;
  HooksService hooks;
  std::unique_ptr<grpc::Server> server;
  bool stopped = false;
};

RpcServer::RpcServer(ServerOptions options, Dependencies deps)
    : options_(std::move(options)), deps_(std::move(deps)) {}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(ServerOptions options,
                                                            Dependencies deps) {
  if (options.listeners.empty()) return absl::InvalidArgumentError("no gRPC listener");
  for (const Listener& listener : options.listeners) {
    if (absl::Status status = CheckListener(listener); !status.ok()) return status;
    if (!IsUnix(listener)) continue;
    if (absl::Status status = ClearUnixSocket(listener); !status.ok()) return status;
  }
  std::unique_ptr<RpcServer> self(new RpcServer(std::move(options), std::move(deps)));
  grpc::ServerBuilder builder;
  std::vector<int> ports(self->options_.listeners.size(), 0);
  std::vector<std::shared_ptr<grpc::ServerCredentials>> credentials;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const Listener& listener = self->options_.listeners[i];
    credentials.push_back(listener.tls.has_value() ? MakeTlsCredentials(*listener.tls)
                                                   : grpc::InsecureServerCredentials());
    builder.AddListeningPort(listener.address, credentials.back(),
                             IsUnix(listener) ? nullptr : &ports[i]);
  }
  builder.SetMaxReceiveMessageSize(static_cast<int>(kMaxFrameBytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             self->options_.limits.calls_per_connection);
  // No ResourceQuota: when it is used up gRPC 1.51 resets streams at random, so that one client's
  // large requests end the Decide streams of others.
  // A client whose host is gone is noticed; one that asks as often is not taken for an attacker.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMillis);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kLeastPingIntervalMillis);
  // Two servers on one port would share its calls at random.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  self->parts_ = std::make_unique<Parts>(
      builder, self->deps_, self->options_,
      [server = self.get()](absl::Duration budget) { server->NoteDraining(budget); });
  self->parts_->credentials = std::move(credentials);
  // A unix socket is its owner's alone until it has its own permissions.
  const mode_t mask = umask(0177);
  self->parts_->server = builder.BuildAndStart();
  umask(mask);
  if (self->parts_->server == nullptr) return CannotListen(self->options_.listeners);
  for (const Listener& listener : self->options_.listeners) {
    if (!IsUnix(listener)) continue;
    if (absl::Status status = SetUnixMode(listener); !status.ok()) return status;
  }
  SayWhoMayCall(self->options_);
  self->ports_ = std::move(ports);
  self->parts_->Serve();
  return self;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::NoteDraining(absl::Duration budget) {
  const absl::Time now = Queue::Now();
  const absl::Time deadline = parts_->drain.Begin(now, budget);
  deps_.bridge.Drain(deps_.clock.Steady() + (deadline - now));
  parts_->main_lane.queue.inbox()->Post([this] { parts_->health.Drain(); });
}

void RpcServer::ReplaceAccess(AccessOptions options) {
  parts_->access.Replace(std::move(options));
  for (Lane* lane : {&parts_->hooks_lane, &parts_->main_lane}) {
    lane->queue.inbox()->Post([lane] { lane->stopper.RightsReplaced(); });
  }
}

void RpcServer::Shutdown(absl::Duration budget) {
  if (parts_ == nullptr || parts_->server == nullptr || parts_->stopped) return;
  parts_->stopped = true;
  NoteDraining(budget);
  for (Lane* lane : {&parts_->hooks_lane, &parts_->main_lane}) {
    lane->queue.inbox()->Post([lane] { lane->stopper.Stop(); });
  }
  // Ends when every call is finished: at the deadline gRPC cancels what is left, upon which each
  // of our coroutines finishes its call.
  parts_->server->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(budget));
  parts_->hooks_lane.queue.Stop();
  parts_->main_lane.queue.Stop();
  parts_->server.reset();
}

}  // namespace postern::rpc

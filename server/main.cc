// posternd: builds everything, in the order of ARCHITECTURE.md, waits for a signal, takes it down.
#include <absl/synchronization/mutex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/check.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/notify.h"
#include "server/bridge/bridge.h"
#include "server/config/config.h"
#include "server/config/environment.h"
#include "server/config/options_resolver.h"
#include "server/config/settings.h"
#include "server/delivery/dispatcher.h"
#include "server/delivery/queue_metrics.h"
#include "server/dns/cares_resolver.h"
#include "server/hooks/registry.h"
#include "server/http/server.h"
#include "server/rpc/convert_hooks.h"
#include "server/wiring.h"
#include "server/wiring_access.h"

namespace postern {
namespace {

constexpr char kVersion[] = "0.1.0";

// SIGTERM and SIGINT reach nobody but WaitForSignal(). Before the first thread is made.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "posternd: %s\n", std::string(status.message()).c_str());
  return 1;
}

// Waits until delivery has drained or `budget` is over; a second signal ends the wait.
void AwaitDrain(delivery::Dispatcher& dispatcher, absl::Duration budget, const sigset_t& signals,
                const base::Clock& clock) {
  // Sessions that were cut at the end of the budget still write down what became of their mail.
  const absl::Time deadline = clock.Steady() + budget + absl::Seconds(1);
  const timespec tick = absl::ToTimespec(absl::Milliseconds(20));
  while (!dispatcher.drain_progress().done && clock.Steady() < deadline) {
    if (sigtimedwait(&signals, nullptr, &tick) > 0) break;
  }
}

void AddProcessMetrics(base::Registry& registry, const config::OptionsResolver& options) {
  registry
      .AddGauge("postern_build_info", "Always 1; the label says which version runs.",
                {{"version", kVersion}})
      .Set(1);
  registry.AddGaugeFunction("postern_config_generation",
                            "Generation of the configuration in force.", {},
                            [&options] { return static_cast<double>(options.generation()); });
}

int Run(const config::LoadedConfig& loaded, const rpc::ServerOptions& rpc_options,
        const sigset_t& signals) {
  const v1::Config& config = loaded.config;
  const config::Settings settings = config::SettingsOf(config);
  base::SystemClock clock;
  base::Registry registry;
  mail::BindingTable bindings;
  for (const v1::BindingConfig& binding : config.bindings()) bindings.SlotOf(binding.name());
  config::OptionsResolver options(config);
  AddProcessMetrics(registry, options);

  auto spool = spool::RocksSpool::Open(MakeSpoolOptions(settings, &registry));
  if (!spool.ok()) {
    return Fail(absl::UnavailableError(
        absl::StrCat(loaded.source, ": server.spool_directory: ", spool.status().message())));
  }

  // Native modules and the bridge register; then the chains are frozen.
  bridge::Bridge bridge(MakePolicyOptions(config.policy()), clock, registry, rpc::EncodeEvent);
  absl::Status hooked = hooks::LoadModules(MakeModuleSpecs(config, loaded.source));
  if (hooked.ok()) hooked = bridge.RegisterProviders();
  hooks::FreezeHooks();
  if (hooked.ok()) hooked = hooks::RunExtInit();
  if (!hooked.ok()) return Fail(hooked);
  hooks::HookPoint hook_point(clock, &bridge, &bridge);

  queue::History history;
  delivery::DeliveryMetrics metrics(registry);
  const auto disposition_log = OpenDispositionLog(settings, clock, registry);
  if (!disposition_log.ok()) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat(loaded.source, ": ", disposition_log.status().message())));
  }
  delivery::Context context{clock,   **spool, options, bindings, hook_point,
                            history, metrics, {},      {}};
  context.disposition_log = disposition_log->get();
  delivery::Admission admission(MakeWatermarks(settings), MakeAdmissionRead(settings, **spool),
                                metrics.queued_rows, clock, registry);
  dns::ResolverOptions dns;
  dns.channel.servers.assign(config.dns_servers().begin(), config.dns_servers().end());
  absl::Status dns_status;
  const auto make_resolver = [&](asio::io_context& io) -> std::unique_ptr<dns::Resolver> {
    auto resolver = dns::CaresResolver::Create(io, dns, clock);
    if (resolver.ok()) return *std::move(resolver);
    dns_status = resolver.status();
    return nullptr;
  };
  delivery::Dispatcher dispatcher(context, admission, MakeDeliveryOptions(settings), make_resolver);
  if (!dns_status.ok()) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat(loaded.source, ": dns_servers: ", dns_status.message())));
  }
  const delivery::QueueMetrics queue_metrics(registry, bindings, clock,
                                             [&dispatcher] { return dispatcher.QueueTotals(); });
  bridge.SetSessionControl(&dispatcher);
  if (absl::Status status = dispatcher.Recover(); !status.ok()) return Fail(status);

  http::ServerOptions http_options;
  http_options.address = config.server().http_listener();
  http_options.metrics = [&registry] { return registry.Render(); };
  http_options.live = [&dispatcher] { return dispatcher.MakesProgress(); };
  http_options.ready = [&]() -> absl::Status {
    if (context.draining.load()) return absl::UnavailableError("draining");
    return admission.Check();
  };
  auto http = http::Server::Start(std::move(http_options));
  if (!http.ok()) return Fail(http.status());
  dispatcher.Start();
  auto rpc = rpc::RpcServer::Start(
      rpc_options, rpc::Dependencies{dispatcher.intake(), dispatcher, dispatcher.messages(), bridge,
                                     bindings, registry, clock, ListChains});
  if (!rpc.ok()) return Fail(rpc.status());

  std::vector<std::string> addresses;
  for (std::size_t i = 0; i < rpc_options.listeners.size(); ++i) {
    addresses.push_back(BoundAddress(rpc_options.listeners[i].address, (*rpc)->ports()[i]));
  }
  std::printf("ready grpc=%s http=%s pid=%d\n", absl::StrJoin(addresses, ",").c_str(),
              (*http)->address().c_str(), static_cast<int>(getpid()));
  std::fflush(stdout);
  base::NotifyManager("READY=1");

  int signal_number = 0;
  sigwait(&signals, &signal_number);
  base::NotifyManager("STOPPING=1");
  const absl::Duration budget = settings.drain_budget;
  base::Log().info("signal {}: ending within {}", signal_number, absl::FormatDuration(budget));
  (*rpc)->NoteDraining(budget);
  dispatcher.BeginDrain(budget);
  AwaitDrain(dispatcher, budget, signals, clock);
  (*rpc)->Shutdown(absl::Seconds(1));
  (*http)->Stop();
  dispatcher.Stop();
  spool->reset();  // writes what waits; its callbacks post to loops that do not run any more
  hooks::ShutdownModules();
  base::Log().info("ended");
  return 0;
}

int Main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app{"posternd: outbound mail delivery, submitted and steered over gRPC."};
  std::string file = "/etc/postern/postern.yaml";
  bool check = false;
  app.add_option("-c,--config", file, "The configuration file")
      ->capture_default_str()
      ->envname("POSTERN_CONFIG");
  app.add_flag("--check-config", check, "Read the configuration, say what is wrong with it, exit");
  app.set_version_flag("--version", kVersion);
  app.footer(
      "Prints one line `ready grpc=ADDRESS http=ADDRESS pid=N` when it takes mail.\n"
      "SIGTERM drains: no new mail, sessions end at their transaction boundary, within\n"
      "options.drain_budget; a second SIGTERM ends at once. Exit codes: 0 ended as asked,\n"
      "1 could not start (the reason is on standard error), 2 usage.\n\n" +
      config::EnvironmentHelp() +
      "\nExample:\n  posternd --config deploy/postern.yaml --check-config");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const sigset_t signals = BlockSignals();
  absl::StatusOr<config::LoadedConfig> loaded = config::Load(file);
  if (!loaded.ok()) return Fail(loaded.status());
  const absl::StatusOr<rpc::ServerOptions> rpc_options = MakeRpcOptions(loaded->config, file);
  if (!rpc_options.ok()) return Fail(rpc_options.status());
  if (check) {
    std::printf("%s: ok\n", file.c_str());
    return 0;
  }
  RaiseDescriptorLimit();
  POSTERN_CHECK(base::SetLogLevel(config::SettingsOf(loaded->config).log_level).ok());
  for (const std::string& note : loaded->notes) base::Log().info("{}", note);
  return Run(*loaded, *rpc_options, signals);
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) { return postern::Main(argc, argv); }

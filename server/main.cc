// posternd: builds everything, in the order of ARCHITECTURE.md, waits for a signal, takes it down.
#include <absl/synchronization/mutex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/check.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/notify.h"
#include "server/bridge/bridge.h"
#include "server/config/config.h"
#include "server/config/defaults.h"
#include "server/config/environment.h"
#include "server/config/live_config.h"
#include "server/config/options_resolver.h"
#include "server/config/settings.h"
#include "server/delivery/dispatcher.h"
#include "server/delivery/queue_metrics.h"
#include "server/dns/cares_resolver.h"
#include "server/hooks/registry.h"
#include "server/http/server.h"
#include "server/rpc/convert_hooks.h"
#include "server/rpc/convert_scope.h"
#include "server/rpc/convert_switch.h"
#include "server/wiring.h"
#include "server/wiring_access.h"

namespace postern {
namespace {

constexpr char kVersion[] = "0.1.0";

// SIGTERM, SIGINT and SIGHUP reach nobody but the main thread. Before the first thread is made.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
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
    const int signal = sigtimedwait(&signals, nullptr, &tick);
    if (signal > 0 && signal != SIGHUP) break;
  }
}

// policy.switch_file: OFF for all remote policy while it exists.
void LookAtSwitchFile(config::LiveConfig& live, bridge::PolicySwitch& policy_switch) {
  const std::string path = live.in_force().config->policy().switch_file();
  const bool exists = !path.empty() && access(path.c_str(), F_OK) == 0;
  policy_switch.SetFile(exists ? path : "");
}

// Until SIGTERM or SIGINT, which it returns. SIGHUP reads the configuration file again; what ends
// by itself is looked after once a second.
int AwaitStop(config::LiveConfig& live, bridge::Bridge& bridge, delivery::Dispatcher& dispatcher,
              const sigset_t& signals, const base::Clock& clock) {
  const timespec tick = absl::ToTimespec(absl::Seconds(1));
  constexpr int kTrimTicks = 10;
  base::HeapTrim heap;
  for (int ticks = 1;; ++ticks) {
    const int signal = sigtimedwait(&signals, nullptr, &tick);
    if (ticks % kTrimTicks == 0) heap.Look();
    if (signal == SIGHUP) {
      live.Reload();
    } else if (signal > 0) {
      return signal;
    }
    if (live.expires() <= clock.Now()) live.Expire();
    LookAtSwitchFile(live, bridge.policy_switch());
    bridge.EndAged();
    dispatcher.RefileStrays();
    if (const absl::Status status = rpc::SaveScopes(live.state_directory(), bridge); !status.ok()) {
      base::Log().error("verdicts for scopes: {}", std::string(status.message()));
    }
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

// Large contents that are sent at once take at most a quarter of the memory that there is.
std::uint64_t ContentBudget(const delivery::Watermarks& watermarks,
                            const delivery::AdmissionReading& now) {
  std::uint64_t budget = delivery::ContentStore::kDefaultBudgetBytes;
  for (const std::uint64_t limit : {watermarks.max_resident_bytes, now.group_limit_bytes}) {
    if (limit > 0) budget = std::min(budget, limit / 4);
  }
  return budget;
}

int Run(config::LiveConfig& live, const rpc::ServerOptions& rpc_options, const sigset_t& signals,
        const base::Clock& clock) {
  const config::LiveConfig::InForce at_start = live.in_force();
  const v1::Config& config = *at_start.config;
  const std::string& file = at_start.file;
  const config::Settings settings = config::SettingsOf(config);
  base::Registry registry;
  mail::BindingTable bindings;
  for (const v1::BindingConfig& binding : config.bindings()) bindings.SlotOf(binding.name());
  config::OptionsResolver options(config, at_start.generation);
  AddProcessMetrics(registry, options);

  if (absl::Status status = CheckSessionFiles(config, file); !status.ok()) {
    return Fail(status);
  }

  auto spool = spool::RocksSpool::Open(MakeSpoolOptions(settings, &registry));
  if (!spool.ok()) {
    return Fail(absl::UnavailableError(
        absl::StrCat(file, ": server.spool_directory: ", spool.status().message())));
  }
  // Native modules and the bridge register; then the chains are frozen. Modules that were
  // initialised are told of the end, also of a start that fails; by then nothing calls them any
  // more.
  const absl::Cleanup end_modules = [] { hooks::ShutdownModules(); };
  bridge::Bridge bridge(MakePolicyOptions(config.policy(), at_start.generation), clock, registry,
                        rpc::EncodeEvent);
  auto audit_log = OpenAuditLog(settings.audit_log, clock, registry);
  if (!audit_log.ok()) {
    return Fail(absl::InvalidArgumentError(absl::StrCat(file, ": ", audit_log.status().message())));
  }
  bridge.SetAuditLog(*std::move(audit_log));
  absl::Status hooked = hooks::LoadModules(MakeModuleSpecs(config, file));
  if (hooked.ok()) hooked = bridge.RegisterProviders();
  hooks::FreezeHooks();
  if (hooked.ok()) hooked = hooks::RunExtInit();
  if (!hooked.ok()) return Fail(hooked);
  // Not before: a configuration with which nothing starts is none to go by.
  if (absl::Status status = live.Keep(); !status.ok()) return Fail(status);
  hooks::HookPoint hook_point(clock, &bridge, &bridge);
  absl::Status restored = rpc::KeepSwitchesIn(live.state_directory(), bridge.policy_switch());
  if (restored.ok()) restored = rpc::RestoreScopes(live.state_directory(), bridge);
  if (!restored.ok()) return Fail(restored);
  LookAtSwitchFile(live, bridge.policy_switch());

  delivery::DeliveryMetrics metrics(registry);
  const auto disposition_log = OpenDispositionLog(settings.disposition_log, clock, registry);
  if (!disposition_log.ok()) {
    return Fail(
        absl::InvalidArgumentError(absl::StrCat(file, ": ", disposition_log.status().message())));
  }
  delivery::Context context{clock, **spool, options, bindings, hook_point, metrics};
  context.disposition_log = disposition_log->get();
  const delivery::Watermarks watermarks = MakeWatermarks(settings);
  delivery::Admission::Read read = MakeAdmissionRead(settings, **spool);
  context.contents.SetBudget(ContentBudget(watermarks, read()));
  delivery::Admission admission(watermarks, std::move(read), metrics.queued_rows, clock, registry);
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
    return Fail(
        absl::InvalidArgumentError(absl::StrCat(file, ": dns_servers: ", dns_status.message())));
  }
  const delivery::QueueMetrics queue_metrics(registry, bindings, clock,
                                             [&dispatcher] { return dispatcher.QueueTotals(); });
  bridge.SetSessionControl(&dispatcher);
  if (absl::Status status = dispatcher.Recover(); !status.ok()) return Fail(status);

  http::ServerOptions http_options;
  http_options.address = config.server().http_listener();
  http_options.metrics = [&registry] { return registry.Render(); };
  http_options.live = [&dispatcher] { return dispatcher.MakesProgress(); };
  std::atomic<bool> started{false};
  http_options.started = [&started] { return started.load(); };
  http_options.ready = [&]() -> absl::Status {
    if (!started.load()) return absl::UnavailableError("starting");
    if (context.draining.load()) return absl::UnavailableError("draining");
    return admission.Check();
  };
  auto http = http::Server::Start(std::move(http_options));
  if (!http.ok()) return Fail(http.status());
  dispatcher.Start();
  auto rpc = rpc::RpcServer::Start(
      rpc_options, rpc::Dependencies{dispatcher.intake(), dispatcher, dispatcher.messages(),
                                     dispatcher.operations(), **spool, bridge, bindings, registry,
                                     clock, ListChains, &live});
  if (!rpc.ok()) return Fail(rpc.status());
  // What a start looks at too: what is in force must not be what the next start refuses.
  const auto check = [&file](const v1::Config& next) {
    absl::Status files = CheckSessionFiles(next, file);
    return files.ok() ? MakeRpcOptions(next, file).status() : files;
  };
  const auto put_in_force = [&, dns_servers = dns.channel.servers](
                                const v1::Config& next, std::uint64_t generation) mutable {
    const config::Settings now = config::SettingsOf(next);
    POSTERN_CHECK(base::SetLogLevel(now.log_level).ok());
    for (const v1::BindingConfig& binding : next.bindings()) bindings.SlotOf(binding.name());
    options.Replace(next, generation);
    bridge.SetPolicy(MakePolicyOptions(next.policy(), generation));
    std::vector<std::string> servers(next.dns_servers().begin(), next.dns_servers().end());
    const bool other_servers = servers != dns_servers;
    dns_servers = servers;
    absl::StatusOr<rpc::AccessOptions> access = MakeAccessOptions(next, file);
    if (access.ok()) {
      (*rpc)->ReplaceAccess(*std::move(access));
    } else {  // a file went since it was checked
      base::Log().error("{}; the identities before stay", std::string(access.status().message()));
    }
    dispatcher.ConfigurationChanged(
        other_servers ? std::make_optional(std::move(servers)) : std::nullopt,
        now.max_message_bytes);
  };
  live.SetSink(check, put_in_force);

  started = true;
  std::vector<std::string> addresses;
  for (std::size_t i = 0; i < rpc_options.listeners.size(); ++i) {
    addresses.push_back(BoundAddress(rpc_options.listeners[i].address, (*rpc)->ports()[i]));
  }
  std::printf("ready grpc=%s http=%s pid=%d\n", absl::StrJoin(addresses, ",").c_str(),
              (*http)->address().c_str(), static_cast<int>(getpid()));
  std::fflush(stdout);
  base::NotifyManager("READY=1");

  const int signal_number = AwaitStop(live, bridge, dispatcher, signals, clock);
  base::NotifyManager("STOPPING=1");
  const absl::Duration budget = config::SettingsOf(*live.in_force().config).drain_budget;
  base::Log().info("signal {}: ending within {}", signal_number, absl::FormatDuration(budget));
  (*rpc)->NoteDraining(budget);
  dispatcher.BeginDrain(budget);
  AwaitDrain(dispatcher, budget, signals, clock);
  (*rpc)->Shutdown(absl::Seconds(1));
  // What was stored since the last look, maybe while sessions ended.
  if (const absl::Status status = rpc::SaveScopes(live.state_directory(), bridge); !status.ok()) {
    base::Log().error("verdicts for scopes: {}", std::string(status.message()));
  }
  (*http)->Stop();
  live.SetSink(nullptr, nullptr);
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
  bool print_defaults = false;
  app.add_flag("--print-defaults", print_defaults,
               "Print the whole configuration with its defaults and comments, exit");
  app.set_version_flag("--version", kVersion);
  app.footer(
      "Prints one line `ready grpc=ADDRESS http=ADDRESS pid=N` when it takes mail.\n"
      "SIGTERM drains: no new mail, sessions end at their transaction boundary, within\n"
      "options.drain_budget; a second SIGTERM ends at once. SIGHUP reads the configuration file\n"
      "again; a bad one changes nothing and the log says why. Exit codes: 0 ended as asked,\n"
      "1 could not start (the reason is on standard error), 2 usage.\n\n" +
      config::EnvironmentHelp() +
      "\nExamples:\n  posternd --config deploy/postern.yaml --check-config\n"
      "  posternd --print-defaults > postern.yaml");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (print_defaults) {
    std::fputs(config::PrintDefaults().c_str(), stdout);
    return 0;
  }
  const sigset_t signals = BlockSignals();
  if (check) {
    const auto loaded = config::Load(file);
    if (!loaded.ok()) return Fail(loaded.status());
    const auto rpc_options = MakeRpcOptions(loaded->config, file);
    if (!rpc_options.ok()) return Fail(rpc_options.status());
    const absl::Status files = CheckSessionFiles(loaded->config, file);
    if (!files.ok()) return Fail(files);
    std::printf("%s: ok\n", file.c_str());
    return 0;
  }
  base::SystemClock clock;
  const auto load = [&file] {
    auto loaded = config::Load(file);
    if (!loaded.ok()) return loaded;
    for (const std::string& note : loaded->notes) base::Log().info("{}", note);
    return loaded;
  };
  const auto live = config::LiveConfig::Open(load, clock);
  if (!live.ok()) return Fail(live.status());
  RaiseDescriptorLimit();
  POSTERN_CHECK(base::SetLogLevel(config::SettingsOf(*(*live)->in_force().config).log_level).ok());
  const auto rpc_options = MakeRpcOptions(*(*live)->in_force().config, file);
  if (!rpc_options.ok()) return Fail(rpc_options.status());
  return Run(**live, *rpc_options, signals, clock);
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) { return postern::Main(argc, argv); }

#include "server/wiring.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/base/log.h"
#include "server/hooks/registry.h"

namespace postern {
namespace {

absl::Duration ToDuration(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

std::optional<bridge::DefaultVerdict> ToVerdict(v1::DefaultVerdict verdict) {
  switch (verdict) {
    case v1::DEFAULT_VERDICT_KEEP:
      return bridge::DefaultVerdict::kKeep;
    case v1::DEFAULT_VERDICT_SHUTDOWN:
      return bridge::DefaultVerdict::kShutdown;
    default:
      return std::nullopt;
  }
}

template <typename Rule>
bridge::DefaultRule ToRule(const Rule& rule) {
  bridge::DefaultRule result;
  result.verdict = ToVerdict(rule.default_verdict());
  for (const v1::CauseDefault& by_cause : rule.cause_defaults()) {
    // Both enums count the causes alike (policy.h, types.proto).
    const auto cause = static_cast<std::size_t>(by_cause.cause());
    if (cause < result.by_cause.size()) result.by_cause[cause] = ToVerdict(by_cause.verdict());
  }
  return result;
}

}  // namespace

bridge::PolicyOptions MakePolicyOptions(const v1::Policy& policy) {
  bridge::PolicyOptions options;
  if (policy.has_timeout()) options.timeout = ToDuration(policy.timeout());
  options.defaults = ToRule(policy);
  for (const v1::PolicyDomainRule& rule : policy.domains()) {
    options.domains.push_back({rule.domain(), ToRule(rule)});
  }
  for (const v1::PolicyProviderRule& rule : policy.providers()) {
    bridge::ProviderRule provider;
    provider.name = rule.name();
    provider.rule = ToRule(rule);
    if (rule.has_max_timeout()) provider.max_timeout = ToDuration(rule.max_timeout());
    options.providers.push_back(std::move(provider));
  }
  if (policy.has_max_streams()) options.max_streams = policy.max_streams();
  if (policy.has_event_ring_events()) options.ring_events = policy.event_ring_events();
  if (policy.has_event_ring_age()) options.ring_age = ToDuration(policy.event_ring_age());
  options.bridge_first = policy.bridge_place() == v1::BRIDGE_PLACE_FIRST;
  return options;
}

std::vector<hooks::ModuleSpec> MakeModuleSpecs(const v1::Config& config, const std::string& file) {
  std::vector<hooks::ModuleSpec> specs;
  for (const v1::Module& module : config.modules()) {
    hooks::ModuleSpec spec;
    spec.name = module.name();
    spec.path = module.path();
    spec.options.assign(module.options().begin(), module.options().end());
    std::sort(spec.options.begin(), spec.options.end());
    spec.config_where = absl::StrCat(file, ": modules[", specs.size(), "]");
    specs.push_back(std::move(spec));
  }
  return specs;
}

rpc::ServerOptions MakeRpcOptions(const v1::Config& config) {
  rpc::ServerOptions options;
  for (const v1::GrpcListener& listener : config.server().grpc_listeners()) {
    options.listeners.push_back({listener.address(), listener.insecure()});
  }
  if (options.listeners.empty()) options.listeners.push_back({"127.0.0.1:9090", false});
  options.limits.drain_budget = DrainBudget(config);
  return options;
}

spool::RocksSpool::Options MakeSpoolOptions(const v1::Server& server, base::Registry* registry) {
  spool::RocksSpool::Options options;
  options.directory = server.spool_directory();
  if (server.has_spool_reserve_bytes()) {
    options.min_free_bytes = static_cast<std::uint64_t>(server.spool_reserve_bytes());
  }
  options.registry = registry;
  return options;
}

delivery::Dispatcher::Options MakeDeliveryOptions(const v1::Config& config) {
  delivery::Dispatcher::Options options;
  options.threads = config.server().has_scheduler_threads()
                        ? static_cast<int>(config.server().scheduler_threads())
                        : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  if (config.options().has_max_message_bytes()) {
    options.limits.max_message_bytes =
        static_cast<std::uint64_t>(config.options().max_message_bytes());
  }
  return options;
}

absl::Duration DrainBudget(const v1::Config& config) {
  return config.options().has_drain_budget() ? ToDuration(config.options().drain_budget())
                                             : absl::Seconds(8);
}

std::string BoundAddress(const std::string& address, int port) {
  if (port == 0) return address;
  return absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
}

void SetLogLevel(v1::LogLevel level) {
  const char* word = "info";
  if (level == v1::LOG_LEVEL_DEBUG) word = "debug";
  if (level == v1::LOG_LEVEL_WARNING) word = "warn";
  if (level == v1::LOG_LEVEL_ERROR) word = "error";
  POSTERN_CHECK(base::SetLogLevel(word).ok());
}

std::vector<rpc::ChainProvider> ListChains() {
  std::vector<rpc::ChainProvider> chains;
  const std::vector<hooks::ProviderInfo> providers = hooks::ListProviders();
  for (const std::string& hook : hooks::ListHooks()) {
    bool any = false;
    for (const hooks::ProviderInfo& provider : providers) {
      if (provider.hook != hook) continue;
      any = true;
      rpc::ChainProvider entry;
      entry.hook = hook;
      entry.name = provider.provider;
      entry.bridge = provider.kind == hooks::ProviderKind::kBridge;
      entry.calls = provider.calls;
      entry.non_zero = provider.non_zero;
      entry.total = provider.total;
      entry.slowest = provider.slowest;
      chains.push_back(std::move(entry));
    }
    if (!any) {
      rpc::ChainProvider empty;
      empty.hook = hook;
      chains.push_back(std::move(empty));
    }
  }
  return chains;
}

}  // namespace postern

#include "server/wiring.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/disk.h"
#include "server/base/memory.h"
#include "server/config/session_options.h"
#include "server/hooks/registry.h"
#include "server/net/tls_context.h"

namespace postern {
namespace {

constexpr char kLines[] = "Lines written.";
constexpr char kDropped[] = "Lines that the disk did not take, or not in time.";
constexpr char kErrors[] = "Writes, renames and opens of the log that failed.";

// INVALID_ARGUMENT naming the setting, the file and the cause.
absl::StatusOr<std::unique_ptr<base::LineLog>> OpenLineLog(const config::LogFile& file,
                                                           absl::string_view setting,
                                                           const base::Clock& clock,
                                                           base::LineLog::Metrics metrics) {
  base::LineLog::Options options;
  options.path = file.path;
  options.max_bytes = file.max_bytes;
  options.max_age = file.max_age;
  options.keep_files = file.keep_files;
  auto lines = base::LineLog::Open(std::move(options), clock, metrics);
  if (lines.ok()) return lines;
  return absl::InvalidArgumentError(absl::StrCat(setting, ": ", lines.status().message()));
}

}  // namespace

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

spool::RocksSpool::Options MakeSpoolOptions(const config::Settings& settings,
                                            base::Registry* registry) {
  spool::RocksSpool::Options options;
  options.directory = settings.spool_directory;
  options.min_free_bytes = static_cast<std::uint64_t>(settings.spool_reserve_bytes);
  options.registry = registry;
  spool::Retention& retention = options.retention;
  retention.outcomes_for = settings.keep_outcomes_for;
  retention.finished_for = settings.keep_finished_for;
  retention.finished_messages = settings.keep_finished_messages;
  retention.bytes = static_cast<std::uint64_t>(settings.keep_outcomes_bytes);
  return options;
}

delivery::Watermarks MakeWatermarks(const config::Settings& settings) {
  delivery::Watermarks marks;
  marks.min_free_bytes = static_cast<std::uint64_t>(settings.spool_reserve_bytes);
  marks.max_resident_bytes = settings.max_memory_bytes;
  marks.max_queued_rows = settings.max_queued_messages;
  return marks;
}

delivery::Admission::Read MakeAdmissionRead(const config::Settings& settings,
                                            const spool::Spool& spool) {
  return [directory = settings.spool_directory, group = base::ControlGroupMemory::Find(), &spool] {
    delivery::AdmissionReading reading;
    reading.spool_writes = spool.healthy();
    // What cannot be known does not keep mail out: a write that fails tells.
    reading.free_bytes =
        base::FreeBytes(directory).value_or(std::numeric_limits<std::uint64_t>::max());
    reading.resident_bytes = base::ResidentBytes();
    const auto use = group.has_value() ? group->Read() : std::nullopt;
    reading.group_used_bytes = use.has_value() ? use->used : 0;
    reading.group_limit_bytes = use.has_value() ? use->limit : 0;
    return reading;
  };
}

absl::StatusOr<std::unique_ptr<delivery::DispositionLog>> OpenDispositionLog(
    const config::LogFile& file, const base::Clock& clock, base::Registry& registry) {
  if (file.path.empty()) return nullptr;
  auto lines = OpenLineLog(file, "server.disposition_log", clock,
                           {registry.AddCounter("postern_disposition_log_lines_total", kLines),
                            registry.AddCounter("postern_disposition_log_dropped_total", kDropped),
                            registry.AddCounter("postern_disposition_log_errors_total", kErrors)});
  if (!lines.ok()) return lines.status();
  return std::make_unique<delivery::DispositionLog>(*std::move(lines), clock);
}

absl::StatusOr<std::unique_ptr<bridge::AuditLog>> OpenAuditLog(const config::LogFile& file,
                                                               const base::Clock& clock,
                                                               base::Registry& registry) {
  if (file.path.empty()) return nullptr;
  auto lines = OpenLineLog(file, "policy.audit_log", clock,
                           {registry.AddCounter("postern_audit_log_lines_total", kLines),
                            registry.AddCounter("postern_audit_log_dropped_total", kDropped),
                            registry.AddCounter("postern_audit_log_errors_total", kErrors)});
  if (!lines.ok()) return lines.status();
  return std::make_unique<bridge::AuditLog>(*std::move(lines), clock);
}

delivery::Dispatcher::Options MakeDeliveryOptions(const config::Settings& settings) {
  delivery::Dispatcher::Options options;
  options.threads = settings.scheduler_threads;
  options.limits.max_message_bytes = settings.max_message_bytes;
  return options;
}

absl::Status CheckSessionFiles(const v1::Config& config, const std::string& file) {
  absl::Status first;
  const auto check = [&](const v1::Options& options, const std::string& path) {
    net::TlsSettings tls;
    tls.certificate_file = options.tls_certificate_file();
    tls.key_file = options.tls_key_file();
    const auto report = [&](const char* key, const absl::Status& status) {
      if (status.ok() || !first.ok()) return;
      first = absl::InvalidArgumentError(
          absl::StrCat(file, ": ", path, ".", key, ": ", status.message()));
    };
    if (!tls.certificate_file.empty()) {
      report("tls_certificate_file", net::TlsContext::Create(tls).status());
    }
    if (!options.gateway().password_file().empty()) {
      report("gateway.password_file",
             config::ReadPassword(options.gateway().password_file()).status());
    }
  };
  const auto check_domains = [&](const auto& domains, const std::string& path) {
    for (int i = 0; i < domains.size(); ++i) {
      check(domains[i].options(), absl::StrCat(path, "domains[", i, "].options"));
    }
  };
  check(config.options(), "options");
  check_domains(config.domains(), "");
  for (int i = 0; i < config.bindings_size(); ++i) {
    const std::string path = absl::StrCat("bindings[", i, "].");
    check(config.bindings(i).options(), absl::StrCat(path, "options"));
    check_domains(config.bindings(i).domains(), path);
  }
  return first;
}

std::string BoundAddress(const std::string& address, int port) {
  if (port == 0) return address;
  return absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
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

#include "server/config/settings.h"

#include <algorithm>
#include <thread>

#include "server/base/check.h"
#include "server/config/system_name.h"
#include "server/config/validate_access.h"
#include "server/config/values.h"
#include "server/mail/address.h"

namespace postern::config {
namespace {

constexpr char kDefaultGrpcListener[] = "127.0.0.1:9090";

Listener ListenerAt(const std::string& address, bool insecure = false) {
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(address);
  POSTERN_CHECK(endpoint.ok());
  Listener listener;
  listener.address = address;
  listener.endpoint = *std::move(endpoint);
  listener.insecure = insecure;
  return listener;
}

std::string LogLevelName(postern::v1::LogLevel level) {
  switch (level) {
    case postern::v1::LOG_LEVEL_DEBUG:
      return "debug";
    case postern::v1::LOG_LEVEL_WARNING:
      return "warn";
    case postern::v1::LOG_LEVEL_ERROR:
      return "error";
    default:
      return "info";
  }
}

int DefaultThreads() {
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 256);
}

void SetRetention(const postern::v1::Server& server, Settings& settings) {
  if (server.has_keep_outcomes_for()) {
    settings.keep_outcomes_for = FromProto(server.keep_outcomes_for());
  }
  if (server.has_keep_finished_for()) {
    settings.keep_finished_for = FromProto(server.keep_finished_for());
  }
  if (server.has_keep_finished_messages()) {
    settings.keep_finished_messages = server.keep_finished_messages();
  }
  if (server.has_keep_outcomes_bytes()) settings.keep_outcomes_bytes = server.keep_outcomes_bytes();
}

}  // namespace

namespace {

LogFile LogFileOf(const postern::v1::LogFile& config) {
  LogFile file;
  file.path = config.path();
  if (config.has_max_bytes()) file.max_bytes = static_cast<std::uint64_t>(config.max_bytes());
  if (config.has_max_age()) file.max_age = FromProto(config.max_age());
  if (config.has_keep_files()) file.keep_files = static_cast<int>(config.keep_files());
  return file;
}

}  // namespace

Settings SettingsOf(const postern::v1::Config& config) {
  const postern::v1::Server& server = config.server();
  Settings settings;
  settings.spool_directory = server.spool_directory();
  for (const postern::v1::GrpcListener& listener : server.grpc_listeners()) {
    settings.grpc_listeners.push_back(ListenerAt(listener.address(), listener.insecure()));
    Listener& added = settings.grpc_listeners.back();
    if (listener.has_tls()) added.tls = listener.tls();
    added.require_client_certificates = listener.has_tls() && RequiresClientCertificates(listener);
    added.unix_mode = ParseUnixMode(listener.unix_mode());
  }
  if (settings.grpc_listeners.empty()) {
    settings.grpc_listeners.push_back(ListenerAt(kDefaultGrpcListener));
  }
  settings.has_http = !server.http_listener().empty();
  if (settings.has_http) settings.http = ListenerAt(server.http_listener()).endpoint;
  settings.scheduler_threads = server.has_scheduler_threads()
                                   ? static_cast<int>(server.scheduler_threads())
                                   : DefaultThreads();
  settings.log_level = LogLevelName(server.log_level());
  settings.hostname =
      server.hostname().empty() ? SystemName() : mail::ParseDomain(server.hostname()).value();
  if (server.has_spool_reserve_bytes()) settings.spool_reserve_bytes = server.spool_reserve_bytes();
  SetRetention(server, settings);
  settings.max_queued_messages = server.max_queued_messages();
  settings.max_memory_bytes = static_cast<std::uint64_t>(server.max_memory_bytes());
  settings.disposition_log = LogFileOf(server.disposition_log());
  settings.audit_log = LogFileOf(config.policy().audit_log());
  const postern::v1::Options& options = config.options();
  if (options.has_max_message_bytes()) {
    settings.max_message_bytes = static_cast<std::uint64_t>(options.max_message_bytes());
  }
  if (options.has_drain_budget()) settings.drain_budget = FromProto(options.drain_budget());
  return settings;
}

}  // namespace postern::config

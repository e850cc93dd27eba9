// Settings: what the configuration says about the process itself, with the defaults filled in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "postern/v1/config.pb.h"
#include "server/config/hosts.h"

namespace postern::config {

struct Listener {
  std::string address;  // as written, and as gRPC takes it
  Endpoint endpoint;
  bool insecure = false;  // plaintext beyond loopback was asked for
  std::optional<postern::v1::TlsFiles> tls;
  bool require_client_certificates = false;
  int unix_mode = 0660;  // permissions of a unix socket
};

// A file of lines and how it is rotated (base::LineLog).
struct LogFile {
  std::string path;  // empty: none
  std::uint64_t max_bytes = std::uint64_t{64} << 20;
  absl::Duration max_age = absl::Hours(24);
  int keep_files = 10;
};

struct Settings {
  std::string spool_directory;
  std::vector<Listener> grpc_listeners;  // at least one
  bool has_http = false;
  Endpoint http;                   // if has_http
  int scheduler_threads = 1;       // 1 to 256
  std::string log_level = "info";  // as base::SetLogLevel takes it
  std::string hostname;            // never empty
  std::int64_t spool_reserve_bytes = std::int64_t{256} << 20;
  // Of outcomes and finished messages.
  absl::Duration keep_outcomes_for = absl::Hours(72);
  absl::Duration keep_finished_for = absl::Hours(72);
  std::uint64_t keep_finished_messages = 10'000'000;
  std::int64_t keep_outcomes_bytes = std::int64_t{1} << 30;
  std::uint64_t max_queued_messages = 0;  // 0: no limit, here and below
  std::uint64_t max_memory_bytes = 0;
  LogFile disposition_log, audit_log;
  std::uint64_t max_message_bytes = std::uint64_t{50} << 20;
  absl::Duration drain_budget = absl::Seconds(8);
};

// REQUIRES: Check(config) is OK.
Settings SettingsOf(const postern::v1::Config& config);

}  // namespace postern::config

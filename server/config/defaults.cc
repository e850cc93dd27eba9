#include "server/config/defaults.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace postern::config {
namespace {

struct Row {
  const char* field;  // after "postern.v1."
  const char* text;
};

constexpr Row kDefaults[] = {
    {"Server.spool_directory", "/var/lib/postern/spool"},  // required: the one that is shipped
    {"Server.log_level", "info"},
    {"Server.spool_reserve_bytes", "256MiB"},
    {"Server.max_queued_messages", "0"},
    {"Server.max_memory_bytes", "0"},
    {"Server.keep_finished_messages", "10000000"},
    {"Server.keep_finished_for", "72h"},
    {"Server.keep_outcomes_for", "72h"},
    {"Server.keep_outcomes_bytes", "1GiB"},
    {"LogFile.max_bytes", "64MiB"},
    {"LogFile.max_age", "24h"},
    {"LogFile.keep_files", "10"},
    {"Policy.timeout", "100ms"},
    {"Policy.default_verdict", "keep"},
    {"Policy.bridge_place", "last"},
    {"Policy.max_wait_share", "0.1"},
    {"Policy.max_streams", "256"},
    {"Policy.max_streams_per_identity", "8"},
    {"Policy.max_verdicts_per_second", "20000"},
    {"Policy.event_ring_events", "65536"},
    {"Policy.event_ring_age", "5m"},
    {"Options.max_outbound_connections", "32"},
    {"Options.max_connections_per_host", "32"},
    {"Options.server_max_outbound_connections", "20000"},
    {"Options.max_deliveries_per_connection", "0"},
    {"Options.max_recipients_per_connection", "0"},
    {"Options.max_recipients_per_batch", "100"},
    {"Options.redial_rate", "{count: 1, per: 1s, burst: 4}"},
    {"Options.connect_timeout", "1m"},
    {"Options.banner_timeout", "5m"},
    {"Options.ehlo_timeout", "5m"},
    {"Options.mailfrom_timeout", "5m"},
    {"Options.rcptto_timeout", "5m"},
    {"Options.data_timeout", "2m"},
    {"Options.block_timeout", "3m"},
    {"Options.body_timeout", "10m"},
    {"Options.rset_timeout", "30s"},
    {"Options.quit_timeout", "5s"},
    {"Options.starttls_timeout", "1m"},
    {"Options.idle_timeout", "5s"},
    {"Options.mx_lookup_timeout", "30s"},
    {"Options.drain_budget", "8s"},
    {"Options.retry_schedule", "[5m, 10m, 20m, 40m, 1h, 2h, 4h]"},
    {"Options.retry_jitter_percent", "10"},
    {"Options.message_expiration", "5d"},
    {"Options.host_failure_retry", "2m"},
    {"Options.mx_failures_to_delay", "50"},
    {"Options.in_doubt", "retry"},
    {"Options.remote_smtp_port", "25"},
    {"Options.prohibited_hosts", "[127.0.0.0/8, 0.0.0.0/8, \"::1\", \"::\"]"},
    {"Options.address_family", "any"},
    {"Options.suspend_delivery", "false"},
    {"Options.max_message_bytes", "50MiB"},
    {"Options.tls", "ifavailable"},
    {"Options.tls_verify", "no"},
    {"Options.tls_fallback", "true"},
    {"Options.tls_protocols", "\"1.2\""},
};

}  // namespace

absl::string_view DefaultText(const google::protobuf::FieldDescriptor& field) {
  static const auto* const index = [] {
    auto* map = new absl::flat_hash_map<std::string, const char*>;
    for (const Row& row : kDefaults) map->emplace(absl::StrCat("postern.v1.", row.field), row.text);
    return map;
  }();
  const auto found = index->find(field.full_name());
  return found == index->end() ? absl::string_view() : absl::string_view(found->second);
}

}  // namespace postern::config

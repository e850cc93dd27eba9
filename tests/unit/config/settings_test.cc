#include "server/config/settings.h"

#include "server/config/system_name.h"
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

TEST(Settings, HaveDefaults) {
  const Settings settings = SettingsOf(Loaded(""));
  EXPECT_EQ(settings.spool_directory, "/s");
  ASSERT_EQ(settings.grpc_listeners.size(), 1u);
  EXPECT_EQ(settings.grpc_listeners[0].address, "127.0.0.1:9090");
  EXPECT_FALSE(settings.has_http);
  EXPECT_GE(settings.scheduler_threads, 1);
  EXPECT_EQ(settings.log_level, "info");
  EXPECT_NE(settings.hostname, "");
  EXPECT_EQ(settings.spool_reserve_bytes, 256 << 20);
  EXPECT_EQ(settings.max_queued_messages, 0u);
  EXPECT_EQ(settings.max_memory_bytes, 0u);
  EXPECT_EQ(settings.disposition_log.path, "");
  EXPECT_EQ(settings.disposition_log.max_bytes, 64u << 20);
  EXPECT_EQ(settings.disposition_log.max_age, absl::Hours(24));
  EXPECT_EQ(settings.disposition_log.keep_files, 10);
  EXPECT_EQ(settings.keep_outcomes_for, absl::Hours(72));
  EXPECT_EQ(settings.keep_finished_for, absl::Hours(72));
  EXPECT_EQ(settings.keep_finished_messages, 10'000'000U);
  EXPECT_EQ(settings.keep_outcomes_bytes, 1 << 30);
  EXPECT_EQ(settings.max_message_bytes, 50u << 20);
  EXPECT_EQ(settings.drain_budget, absl::Seconds(8));
}

TEST(Settings, TakeWhatTheFileSays) {
  const auto loaded = LoadText("f", R"(
server:
  spool_directory: /var/spool
  grpc_listeners: [{address: "unix:/run/p.sock"}, {address: "0.0.0.0:1", insecure: true}]
  http_listener: 0.0.0.0:9091
  scheduler_threads: 7
  log_level: warning
  hostname: Own.Test
  spool_reserve_bytes: 0
  max_queued_messages: 1000
  max_memory_bytes: 2GiB
  disposition_log: {path: /var/log/d, max_bytes: 1MiB, max_age: 1h, keep_files: 0}
  keep_outcomes_for: 1h
  keep_finished_for: 0s
  keep_finished_messages: 5
  keep_outcomes_bytes: 1MiB
options: {max_message_bytes: 1MiB, drain_budget: 0}
)");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Settings settings = SettingsOf(loaded->config);
  EXPECT_EQ(settings.spool_directory, "/var/spool");
  ASSERT_EQ(settings.grpc_listeners.size(), 2u);
  EXPECT_EQ(settings.grpc_listeners[0].address, "unix:/run/p.sock");
  EXPECT_FALSE(settings.grpc_listeners[0].insecure);
  EXPECT_EQ(settings.grpc_listeners[1].endpoint.port, 1);
  EXPECT_TRUE(settings.grpc_listeners[1].insecure);
  EXPECT_TRUE(settings.has_http);
  EXPECT_EQ(settings.http.host, "0.0.0.0");
  EXPECT_EQ(settings.http.port, 9091);
  EXPECT_EQ(settings.scheduler_threads, 7);
  EXPECT_EQ(settings.log_level, "warn");
  EXPECT_EQ(settings.hostname, "own.test");
  EXPECT_EQ(settings.spool_reserve_bytes, 0);
  EXPECT_EQ(settings.max_queued_messages, 1000u);
  EXPECT_EQ(settings.max_memory_bytes, std::uint64_t{2} << 30);
  EXPECT_EQ(settings.disposition_log.path, "/var/log/d");
  EXPECT_EQ(settings.disposition_log.max_bytes, 1u << 20);
  EXPECT_EQ(settings.disposition_log.max_age, absl::Hours(1));
  EXPECT_EQ(settings.disposition_log.keep_files, 0);
  EXPECT_EQ(settings.keep_outcomes_for, absl::Hours(1));
  EXPECT_EQ(settings.keep_finished_for, absl::ZeroDuration());
  EXPECT_EQ(settings.keep_finished_messages, 5U);
  EXPECT_EQ(settings.keep_outcomes_bytes, 1 << 20);
  EXPECT_EQ(settings.max_message_bytes, 1u << 20);
  EXPECT_EQ(settings.drain_budget, absl::ZeroDuration());
}

TEST(SystemName, IsTheQualifiedOneIfThereIsOne) {
  EXPECT_EQ(QualifiedName("mail.example.com", "127.0.1.1 other.example mail"), "mail.example.com");
  EXPECT_EQ(QualifiedName("mail",
                          "127.0.0.1 localhost\n"
                          "192.0.2.7 web.example web # mail\n"
                          "127.0.1.1\tmail.example.com mail\n"),
            "mail.example.com");
  EXPECT_EQ(QualifiedName("mail", "127.0.1.1 mail\n127.0.0.1 mailbox.example.com mailbox\n"),
            "mail");
  EXPECT_EQ(QualifiedName("mail", ""), "mail");
  EXPECT_NE(SystemName(), "");
}

}  // namespace
}  // namespace postern::config

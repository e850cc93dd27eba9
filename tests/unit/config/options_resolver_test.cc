#include "server/config/options_resolver.h"

#include <thread>

#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Texts(const std::vector<mail::AddressBlock>& blocks) {
  std::vector<std::string> texts;
  for (const mail::AddressBlock& block : blocks) texts.push_back(block.text);
  return texts;
}

std::vector<std::string> Hosts(const mail::DeliveryOptions& options) {
  std::vector<std::string> texts;
  for (const mail::HostPort& host : options.routes) {
    texts.push_back(absl::StrCat(host.preference, " ", host.host, " ", host.port));
  }
  return texts;
}

TEST(OptionsResolver, TheMostSpecificScopeWins) {
  const OptionsResolver resolver(Loaded(R"(
options: {max_retries: 1, max_recipients_per_batch: 1, quit_timeout: 1s, idle_timeout: 1s}
domains:
  - name: a.test
    options: {max_recipients_per_batch: 2, quit_timeout: 2s, idle_timeout: 2s}
bindings:
  - name: b
    options: {quit_timeout: 3s, idle_timeout: 3s}
    domains:
      - name: a.test
        options: {idle_timeout: 4s}
)"));
  const auto all = resolver.ForPair("a.test", "b");
  EXPECT_EQ(all->max_retries, 1);
  EXPECT_EQ(all->max_recipients_per_batch, 2);
  EXPECT_EQ(all->quit_timeout, absl::Seconds(3));
  EXPECT_EQ(all->idle_timeout, absl::Seconds(4));
  EXPECT_EQ(resolver.ForPair("a.test", "default")->idle_timeout, absl::Seconds(2));
  EXPECT_EQ(resolver.ForPair("c.test", "b")->idle_timeout, absl::Seconds(3));
  EXPECT_EQ(resolver.ForPair("c.test", "default")->idle_timeout, absl::Seconds(1));
  EXPECT_EQ(resolver.ForPair("sub.a.test", "default")->idle_timeout, absl::Seconds(1));
}

TEST(OptionsResolver, AListOrGatewayOfANarrowerScopeReplacesTheWider) {
  const OptionsResolver resolver(Loaded(R"(
options:
  retry_schedule: [1m, 2m]
  gateway: {host: wide.test, port: 26}
  prohibited_hosts: [192.0.2.1]
domains:
  - name: A.Test
    options: {retry_schedule: [3m], gateway: {host: narrow.test}, prohibited_hosts: [none]}
)"));
  const auto narrow = resolver.ForPair("a.test", "default");
  EXPECT_THAT(narrow->retry_schedule, ElementsAre(absl::Minutes(3)));
  EXPECT_EQ(narrow->gateway->host, "narrow.test");
  EXPECT_EQ(narrow->gateway->port, 0);
  EXPECT_THAT(narrow->prohibited_hosts, IsEmpty());
  const auto wide = resolver.ForPair("b.test", "default");
  EXPECT_THAT(wide->retry_schedule, ElementsAre(absl::Minutes(1), absl::Minutes(2)));
  EXPECT_EQ(wide->gateway->port, 26);
  EXPECT_THAT(Texts(wide->prohibited_hosts), ElementsAre("::ffff:192.0.2.1/128", "192.0.2.1"));
}

TEST(OptionsResolver, ProhibitsLoopbackAndUnspecifiedUnlessLifted) {
  const OptionsResolver by_default(Loaded(""));
  EXPECT_THAT(Texts(by_default.ForPair("a.test", "default")->prohibited_hosts),
              ElementsAre("::ffff:127.0.0.0/104", "127.0.0.0/8", "::ffff:0.0.0.0/104", "0.0.0.0/8",
                          "::1", "::"));
  const OptionsResolver lifted(Loaded("options: {prohibited_hosts: [none]}\n"));
  EXPECT_THAT(lifted.ForPair("a.test", "default")->prohibited_hosts, IsEmpty());
}

TEST(OptionsResolver, ConvertsEveryOption) {
  const OptionsResolver resolver(Loaded(R"(
options:
  max_outbound_connections: 3
  max_deliveries_per_connection: 4
  max_recipients_per_batch: 5
  max_retries: 0
  redial_rate: {count: 6, per: 2s}
  connect_timeout: 1ms
  banner_timeout: 2ms
  ehlo_timeout: 3ms
  mailfrom_timeout: 4ms
  rcptto_timeout: 5ms
  data_timeout: 6ms
  block_timeout: 7ms
  body_timeout: 8ms
  rset_timeout: 9ms
  quit_timeout: 10ms
  idle_timeout: 0
  mx_lookup_timeout: 12ms
  retry_jitter_percent: 25
  message_expiration: 1h
  remote_smtp_port: 2525
  ehlo_hostname: EHLO.test
)"));
  const auto o = resolver.ForPair("a.test", "default");
  EXPECT_EQ(o->generation, 1u);
  EXPECT_EQ(o->max_outbound_connections, 3);
  EXPECT_EQ(o->max_deliveries_per_connection, 4);
  EXPECT_EQ(o->max_recipients_per_batch, 5);
  EXPECT_EQ(o->max_retries, 0);
  EXPECT_DOUBLE_EQ(o->redial_rate, 3.0);
  EXPECT_EQ(o->redial_burst, 6);
  EXPECT_EQ(o->connect_timeout, absl::Milliseconds(1));
  EXPECT_EQ(o->banner_timeout, absl::Milliseconds(2));
  EXPECT_EQ(o->ehlo_timeout, absl::Milliseconds(3));
  EXPECT_EQ(o->mailfrom_timeout, absl::Milliseconds(4));
  EXPECT_EQ(o->rcptto_timeout, absl::Milliseconds(5));
  EXPECT_EQ(o->data_timeout, absl::Milliseconds(6));
  EXPECT_EQ(o->block_timeout, absl::Milliseconds(7));
  EXPECT_EQ(o->body_timeout, absl::Milliseconds(8));
  EXPECT_EQ(o->rset_timeout, absl::Milliseconds(9));
  EXPECT_EQ(o->quit_timeout, absl::Milliseconds(10));
  EXPECT_EQ(o->idle_timeout, absl::ZeroDuration());
  EXPECT_EQ(o->mx_lookup_timeout, absl::Milliseconds(12));
  EXPECT_DOUBLE_EQ(o->retry_jitter, 0.25);
  EXPECT_EQ(o->message_expiration, absl::Hours(1));
  EXPECT_EQ(o->remote_smtp_port, 2525);
  EXPECT_EQ(o->ehlo_hostname, "ehlo.test");
}

TEST(OptionsResolver, EhloNameIsTheHostsOwnByDefault) {
  const OptionsResolver named(*[] {
    auto loaded = LoadText("f", "server: {spool_directory: /s, hostname: own.test}\n");
    return std::make_unique<postern::v1::Config>(loaded->config);
  }());
  EXPECT_EQ(named.ForPair("a.test", "default")->ehlo_hostname, "own.test");
  EXPECT_NE(OptionsResolver(Loaded("")).ForPair("a.test", "default")->ehlo_hostname, "");
}

TEST(OptionsResolver, TheMostSpecificRouteCounts) {
  const OptionsResolver resolver(Loaded(R"(
routes:
  - {domain: "*", hosts: [all.test]}
  - {domain: "*.a.test", hosts: ["suffix.test:26"]}
  - {domain: "*.b.a.test", hosts: ["longer.test"]}
  - {domain: B.a.test, hosts: ["192.0.2.1:27", "[2001:db8::1]:28", last.test]}
)"));
  EXPECT_THAT(Hosts(*resolver.ForPair("b.a.test", "default")),
              ElementsAre("0 192.0.2.1 27", "1 2001:db8::1 28", "2 last.test 0"));
  EXPECT_THAT(Hosts(*resolver.ForPair("x.b.a.test", "default")), ElementsAre("0 longer.test 0"));
  EXPECT_THAT(Hosts(*resolver.ForPair("x.a.test", "default")), ElementsAre("0 suffix.test 26"));
  EXPECT_THAT(Hosts(*resolver.ForPair("a.test", "default")), ElementsAre("0 all.test 0"));
  EXPECT_THAT(Hosts(*OptionsResolver(Loaded("")).ForPair("a.test", "default")), IsEmpty());
}

TEST(OptionsResolver, BracketsAGatewaysIpv6Address) {
  const OptionsResolver resolver(Loaded("options: {gateway: {host: \"2001:db8::1\"}}\n"));
  EXPECT_EQ(resolver.ForPair("a.test", "default")->gateway->host, "[2001:db8::1]");
}

TEST(OptionsResolver, KnowsDefaultAndWhatIsConfigured) {
  const OptionsResolver resolver(Loaded("bindings: [{name: b, options: {max_retries: 1}}]\n"));
  EXPECT_TRUE(resolver.KnowsBinding("default"));
  EXPECT_TRUE(resolver.KnowsBinding("b"));
  EXPECT_FALSE(resolver.KnowsBinding("c"));
  EXPECT_EQ(resolver.ForPair("a.test", "c")->max_retries, -1);
}

TEST(OptionsResolver, OptionsOfBindingDefaultHold) {
  const OptionsResolver resolver(
      Loaded("bindings: [{name: default, options: {max_retries: 1}}]\n"));
  EXPECT_EQ(resolver.ForPair("a.test", "")->max_retries, 1);
}

TEST(OptionsResolver, PairsOfTheSameScopesShareASnapshot) {
  const OptionsResolver resolver(Loaded("domains: [{name: a.test, options: {max_retries: 1}}]\n"));
  EXPECT_EQ(resolver.ForPair("b.test", "default"), resolver.ForPair("c.test", "default"));
  EXPECT_NE(resolver.ForPair("a.test", "default"), resolver.ForPair("c.test", "default"));
}

TEST(OptionsResolver, ReplaceCountsTheGenerationUpAndLeavesOldSnapshots) {
  OptionsResolver resolver(Loaded("options: {max_retries: 1}\n"));
  const auto before = resolver.ForPair("a.test", "default");
  EXPECT_EQ(resolver.generation(), 1u);
  resolver.Replace(Loaded("options: {max_retries: 2}\nbindings: [{name: b}]\n"), 2);
  EXPECT_EQ(resolver.generation(), 2u);
  EXPECT_EQ(resolver.ForPair("a.test", "default")->generation, 2u);
  EXPECT_EQ(resolver.ForPair("a.test", "default")->max_retries, 2);
  EXPECT_TRUE(resolver.KnowsBinding("b"));
  EXPECT_EQ(before->generation, 1u);
  EXPECT_EQ(before->max_retries, 1);
}

TEST(OptionsResolver, IsReadWhileItIsReplaced) {
  const postern::v1::Config one = Loaded("options: {max_retries: 1}\n");
  const postern::v1::Config two = Loaded("options: {max_retries: 2}\n");
  OptionsResolver resolver(one);
  std::thread reader([&] {
    for (std::uint64_t seen = 0; seen < 21;) {
      const auto options = resolver.ForPair("a.test", "default");
      EXPECT_GE(options->generation, seen);
      EXPECT_EQ(options->max_retries, options->generation % 2 == 1 ? 1 : 2);
      seen = options->generation;
    }
  });
  for (std::uint64_t i = 0; i < 20; ++i) resolver.Replace(i % 2 == 0 ? two : one, i + 2);
  reader.join();
}

}  // namespace
}  // namespace postern::config

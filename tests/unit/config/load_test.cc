// The walker: what the file says against the schema.
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(Load, ReportsEveryErrorWithLineAndPathInOrder) {
  EXPECT_THAT(
      Errors(R"(server:
  spool_directory: /s
  grpc_listeners:
    - address: 127.0.0.1:0
      adress: twice
options:
  connect_timeut: 30s
  idle_timeout: 30
  max_outbound_connections: many
  retry_schedule: [5m, soon]
policy:
  default_verdict: maybe
  timeout: 1h
domains:
  - name: a.test
    options:
      generate_bounces: false
      retry_schedule:
        - 5m
        - 10m
        - 0s
colour: blue
)"),
      ElementsAre("f:5: server.grpc_listeners[0].adress: unknown key; did you mean address?",
                  "f:7: options.connect_timeut: unknown key; did you mean connect_timeout?",
                  StartsWith("f:8: options.idle_timeout: has no unit"),
                  "f:9: options.max_outbound_connections: expected a whole number, not \"many\"",
                  StartsWith("f:10: options.retry_schedule[1]: expected a duration"),
                  "f:12: policy.default_verdict: expected one of keep, shutdown, not \"maybe\"",
                  "f:13: policy.timeout: must be 1ms to 5s, not 1h",
                  "f:17: domains[0].options.generate_bounces: not served yet",
                  "f:21: domains[0].options.retry_schedule[2]: must be 1ms to 30d, not 0s",
                  "f:22: colour: unknown key"));
}

TEST(Load, FillsTheMessage) {
  const postern::v1::Config config = Loaded(R"(
modules:
  - name: end_session
    path: /m.so
    options: {deliveries: 3, "a.b": "x: y"}
policy:
  timeout: 1s500ms
  cause_defaults: [{cause: no_subscriber, verdict: shutdown}]
  bridge_place: first
  max_streams: 7
options:
  max_message_bytes: 4KiB
  redial_rate: {count: 10, per: 2s, burst: 3}
  in_doubt: retry
  prohibited_hosts: [192.0.2.0/24]
dns_servers: ["127.0.0.1:53"]
)");
  EXPECT_EQ(config.modules(0).options().at("deliveries"), "3");
  EXPECT_EQ(config.modules(0).options().at("a.b"), "x: y");
  EXPECT_EQ(config.policy().timeout().seconds(), 1);
  EXPECT_EQ(config.policy().timeout().nanos(), 500'000'000);
  EXPECT_EQ(config.policy().cause_defaults(0).cause(), postern::v1::DEFAULT_CAUSE_NO_SUBSCRIBER);
  EXPECT_EQ(config.policy().bridge_place(), postern::v1::BRIDGE_PLACE_FIRST);
  EXPECT_EQ(config.policy().max_streams(), 7u);
  EXPECT_EQ(config.options().max_message_bytes(), 4096);
  EXPECT_EQ(config.options().redial_rate().burst(), 3u);
  EXPECT_EQ(config.options().prohibited_hosts(0), "192.0.2.0/24");
  EXPECT_EQ(config.dns_servers(0), "127.0.0.1:53");
  EXPECT_FALSE(config.options().has_max_retries());
}

TEST(Load, RefusesMistypedValues) {
  EXPECT_THAT(ErrorsAfterServer(R"(options:
  max_retries: "3"
  remote_smtp_port: {port: 25}
  retry_schedule: 5m
  connect_timeout: [5m]
  idle_timeout:
  gateway: smart.example
domains: {name: a.test}
dns_servers: [[x]]
modules: [5]
)"),
              ElementsAre("f:3: options.max_retries: expected a number, not the quoted text \"3\"",
                          "f:4: options.remote_smtp_port: expected a single value, not a map",
                          "f:5: options.retry_schedule: expected a list, not a single value",
                          "f:6: options.connect_timeout: expected a single value, not a list",
                          "f:7: options.idle_timeout: expected a single value, not nothing",
                          "f:8: options.gateway: expected a map, not a single value",
                          "f:9: domains: expected a list, not a map",
                          "f:10: dns_servers[0]: expected a single value, not a list",
                          "f:11: modules[0]: expected a map, not a single value"));
}

TEST(Load, RefusesMistypedBooleans) {
  EXPECT_THAT(Errors("server:\n  spool_directory: /s\n  grpc_listeners:\n"
                     "  - {address: \"127.0.0.1:1\", insecure: yes}\n"
                     "  - {address: \"127.0.0.1:2\", insecure: \"true\"}\n"),
              ElementsAre("f:4: server.grpc_listeners[0].insecure: expected true or false, not "
                          "\"yes\"",
                          "f:5: server.grpc_listeners[1].insecure: expected true or false, not the "
                          "quoted text \"true\""));
}

TEST(Load, RefusesDuplicateKeys) {
  EXPECT_THAT(ErrorsAfterServer("options:\n  idle_timeout: 1s\n  idle_timeout: 2s\n"
                                "modules:\n- {name: m, path: /m, options: {a: 1, a: 2}}\n"),
              ElementsAre("f:4: options.idle_timeout: is there twice; first in line 3",
                          "f:6: modules[0].options.a: is there twice; first in line 6"));
}

TEST(Load, RefusesIntegersThatDoNotFit) {
  EXPECT_THAT(ErrorsAfterServer("options:\n  max_retries: 4294967296\n  remote_smtp_port: -1\n"
                                "  max_deliveries_per_connection: 4294967295\n"),
              ElementsAre(HasSubstr("f:3: options.max_retries: out of range"),
                          HasSubstr("f:4: options.remote_smtp_port: out of range"),
                          HasSubstr("f:5: options.max_deliveries_per_connection: must be 0 to")));
}

TEST(Load, NamesFieldsAndValuesThatAreNotServed) {
  EXPECT_THAT(
      ErrorsAfterServer("sites: []\noptions: {generate_bounces: false}\n"
                        "policy: {default_verdict: hold}\n"),
      ElementsAre("f:2: sites: not served yet", "f:3: options.generate_bounces: not served yet",
                  "f:4: policy.default_verdict: the value hold is not served yet"));
}

TEST(Load, RefusesAWaitShareOutOfBounds) {
  EXPECT_THAT(ErrorsAfterServer("policy: {max_wait_share: 0}\n"),
              ElementsAre(HasSubstr("f:2: policy.max_wait_share: must be 0.001 to 1")));
  EXPECT_THAT(ErrorsAfterServer("policy: {max_wait_share: 0.5}\n"), ElementsAre());
}

TEST(Load, SuggestsOnlyWhatIsNear) {
  EXPECT_THAT(
      ErrorsAfterServer("option: {}\nelephant: {}\n"),
      ElementsAre("f:2: option: unknown key; did you mean options?", "f:3: elephant: unknown key"));
}

TEST(Load, DoesNotReportConsequencesOfAnError) {
  EXPECT_THAT(Errors("server: {spool_directory: [/s]}\n"),
              ElementsAre(HasSubstr("server.spool_directory: expected a single value")));
  EXPECT_THAT(Errors("server: 5\n"),
              ElementsAre("f:1: server: expected a map, not a single value"));
  EXPECT_THAT(ErrorsAfterServer("bindings: [7]\n"),
              ElementsAre(HasSubstr("bindings[0]: expected")));
}

TEST(Load, TakesGroupsWithNothingInThem) {
  EXPECT_THAT(ErrorsAfterServer("options:\npolicy:\ndomains:\nbindings: []\nmodules: ~\n"),
              IsEmpty());
}

TEST(Load, TakesAnchors) {
  const postern::v1::Config config = Loaded(
      "domains:\n- {name: a.test, options: &o {max_retries: 1}}\n"
      "- {name: b.test, options: *o}\n");
  EXPECT_EQ(config.domains(1).options().max_retries(), 1u);
}

TEST(Load, BoundsWhatAliasesMakeOfASmallFile) {
  std::string text = "options: {retry_schedule: &r [";
  for (int i = 0; i < 1200; ++i) text += "5m,";
  text += "]}\ndomains: &d\n";
  for (int i = 0; i < 1200; ++i) {
    absl::StrAppend(&text, "- {name: d", i, ".test, options: {retry_schedule: *r}}\n");
  }
  text += "bindings:\n- {name: a, domains: *d}\n";
  EXPECT_THAT(ErrorsAfterServer(text), Contains(HasSubstr("more than 1000000 values")));
}

TEST(Load, ReportsSyntaxErrorsWithTheirLine) {
  EXPECT_THAT(Errors("server:\n  spool_directory: /s\n\tx: y\n"),
              ElementsAre(StartsWith("f:3: not YAML: ")));
  EXPECT_THAT(Errors("server: [unclosed\n"), ElementsAre(HasSubstr("not YAML: ")));
  EXPECT_THAT(Errors("a: *nowhere\n"), ElementsAre(StartsWith("f:1: not YAML: ")));
}

TEST(Load, RefusesWhatIsNoText) {
  EXPECT_THAT(Errors("server:\n  spool_directory: /\xff\n"),
              ElementsAre(HasSubstr("f:2: a byte that is not UTF-8")));
  EXPECT_THAT(Errors(std::string("a: b\n\0", 6)), ElementsAre(HasSubstr("control character")));
}

TEST(Load, RefusesASecondDocument) {
  EXPECT_THAT(Errors("server: {spool_directory: /s}\n---\noptions: {}\n"),
              ElementsAre("f:2: not YAML, or a second document in the file"));
  EXPECT_THAT(Errors(", a: b\n"),  // yaml-cpp's LoadAll hangs here
              ElementsAre("f:1: not YAML, or a second document in the file"));
}

TEST(Load, AnEmptyFileLacksWhatIsRequired) {
  EXPECT_THAT(Errors(""), ElementsAre("f:1: server.spool_directory: required"));
  EXPECT_THAT(Errors("# nothing\n"), ElementsAre("f:1: server.spool_directory: required"));
  EXPECT_THAT(Errors("just words\n"), ElementsAre("f:1: expected a map, not a single value"));
}

TEST(Load, EscapesWhatItQuotes) {
  EXPECT_THAT(ErrorsAfterServer("\"a\\nb\\e[31m\": 1\n"),
              ElementsAre("f:2: \"a\\nb\\x1b[31m\": unknown key"));
}

TEST(Load, NamesAFileThatIsNotThere) {
  const absl::Status status = Load("/nonexistent/postern.yaml").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("/nonexistent/postern.yaml: cannot be read: No such"));
  EXPECT_THAT(Load("/").status().ToString(), HasSubstr("/: cannot be read: Is a directory"));
}

}  // namespace
}  // namespace postern::config

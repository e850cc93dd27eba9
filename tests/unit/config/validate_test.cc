// What makes no sense although it has the right types.
#include "server/config/validate.h"

#include "server/config/bounds.h"
#include "server/config/field_text.h"
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Validate, RefusesPlaintextBeyondLoopback) {
  EXPECT_THAT(ListenerErrors("{address: \"0.0.0.0:9090\"}"),
              ElementsAre(HasSubstr("f:4: server.grpc_listeners[0].address: \"0.0.0.0:9090\" is "
                                    "not loopback")));
  EXPECT_THAT(ListenerErrors("{address: \"[::]:0\"}"), ElementsAre(HasSubstr("insecure: true")));
  EXPECT_THAT(ListenerErrors("{address: \"0.0.0.0:9090\", insecure: true}"), IsEmpty());
  EXPECT_THAT(ListenerErrors("{address: \"unix:/run/p.sock\"}"), IsEmpty());
}

TEST(Validate, ChecksListeners) {
  EXPECT_THAT(ListenerErrors("{insecure: true}"),
              ElementsAre("f:4: server.grpc_listeners[0].address: required"));
  EXPECT_THAT(ListenerErrors("{address: localhost}"), ElementsAre(HasSubstr("port is missing")));
  EXPECT_THAT(Errors("server:\n  spool_directory: /s\n  http_listener: unix:/h\n"),
              ElementsAre(HasSubstr("f:3: server.http_listener: must be an address")));
  EXPECT_THAT(Errors("server:\n  spool_directory: /s\n  grpc_listeners: [{address: "
                     "\"127.0.0.1:90\"}]\n  http_listener: 127.0.0.1:90\n"),
              ElementsAre(HasSubstr("f:4: server.http_listener: \"127.0.0.1:90\" is also "
                                    "server.grpc_listeners[0].address")));
}

TEST(Validate, ChecksTheServersNumbersAndName) {
  EXPECT_THAT(Errors("server:\n  spool_directory: /s\n  scheduler_threads: 0\n"
                     "  spool_reserve_bytes: 9000000GiB\n  hostname: no_spaces here\n"),
              ElementsAre(HasSubstr("f:3: server.scheduler_threads: must be 1 to 256, not 0"),
                          HasSubstr("f:4: server.spool_reserve_bytes: must be 0 to"),
                          HasSubstr("f:5: server.hostname: ")));
}

TEST(Validate, ModulesHaveAPathAndUniqueNames) {
  EXPECT_THAT(
      ErrorsAfterServer("modules:\n- {name: m, path: /a}\n- {name: m, path: /b}\n"
                        "- {name: x}\n- {name: a b, path: /c}\n- {path: /own-name}\n"),
      ElementsAre("f:4: modules[1].name: \"m\" is also modules[0].name",
                  "f:5: modules[2].path: required", HasSubstr("f:6: modules[3].name: a name has")));
}

TEST(Validate, BindingsHaveNamesWithoutSpacesAndColons) {
  EXPECT_THAT(ErrorsAfterServer("bindings:\n- name: a b\n- name: a:b\n- name: ok\n- name: ok\n"
                                "- options: {}\n- name: default\n"),
              ElementsAre(HasSubstr("f:3: bindings[0].name: a name has"),
                          HasSubstr("f:4: bindings[1].name: a name has"),
                          HasSubstr("f:6: bindings[3].name: \"ok\" is also bindings[2].name"),
                          "f:7: bindings[4].name: required"));
}

TEST(Validate, DomainsAreValidAndUniqueInTheirScope) {
  EXPECT_THAT(ErrorsAfterServer("domains:\n- name: \"*.test\"\n- name: A.test\n- name: a.test.\n"
                                "- {}\nbindings:\n- name: b\n  domains:\n  - name: a.test\n"
                                "  - name: \"-\"\n"),
              ElementsAre(HasSubstr("f:3: domains[0].name: "),
                          HasSubstr("f:5: domains[2].name: \"a.test\" is also domains[1].name"),
                          "f:6: domains[3].name: required",
                          HasSubstr("f:11: bindings[0].domains[1].name: ")));
}

TEST(Validate, ChecksPolicy) {
  EXPECT_THAT(
      ErrorsAfterServer("policy:\n"
                        "  cause_defaults: [{cause: timeout}, {verdict: keep},\n"
                        "    {cause: timeout, verdict: keep}]\n"
                        "  domains: [{domain: \"a*\"}, {domain: \"*.b\"}, {domain: \"*.B\"}, {}]\n"
                        "  providers: [{name: Upper}, {name: p, max_timeout: 6s}, {name: p}, {}]\n"
                        "  timeout: 0\n"
                        "  max_streams: 0\n"
                        "  event_ring_events: 0\n"
                        "  event_ring_age: 1ms\n"),
      ElementsAre("f:3: policy.cause_defaults[0].verdict: required",
                  "f:3: policy.cause_defaults[1].cause: required",
                  HasSubstr("f:4: policy.cause_defaults[2].cause: \"timeout\" is also"),
                  HasSubstr("f:5: policy.domains[0].domain: expected a domain"),
                  HasSubstr("f:5: policy.domains[2].domain: \"*.b\" is also"),
                  "f:5: policy.domains[3].domain: required",
                  HasSubstr("f:6: policy.providers[0].name: a provider's name"),
                  HasSubstr("f:6: policy.providers[2].name: \"p\" is also"),
                  "f:6: policy.providers[3].name: required",
                  HasSubstr("f:6: policy.providers[1].max_timeout: must be 1ms to 5s, not 6s"),
                  HasSubstr("f:7: policy.timeout: must be"),
                  HasSubstr("f:8: policy.max_streams: must be"),
                  HasSubstr("f:9: policy.event_ring_events: must be"),
                  HasSubstr("f:10: policy.event_ring_age: must be")));
}

TEST(Validate, ChecksRoutesAndNameServers) {
  EXPECT_THAT(ErrorsAfterServer("routes:\n- {domain: a.test, hosts: [mx.test, \"mx.test:0\"]}\n"
                                "- {domain: a.test, hosts: []}\n- {hosts: [\"192.0.2.1\"]}\n"
                                "dns_servers: [127.0.0.1, ns.test]\n"),
              ElementsAre(HasSubstr("f:3: routes[0].hosts[1]: port: 0 cannot be dialled"),
                          HasSubstr("f:4: routes[1].domain: \"a.test\" is also routes[0].domain"),
                          "f:4: routes[1].hosts: required", "f:5: routes[2].domain: required",
                          HasSubstr("f:6: dns_servers[1]: a name server")));
}

TEST(Validate, ChecksOptionsInEveryScope) {
  const std::string options =
      "{gateway: {port: 70000}, prohibited_hosts: [none, 192.0.2.1/24], "
      "ehlo_hostname: a b, redial_rate: {burst: 4}}";
  EXPECT_EQ(ErrorsAfterServer("options: " + options + "\n").size(), 6u);
  EXPECT_EQ(ErrorsAfterServer("bindings: [{name: b, options: " + options + "}]\n").size(), 6u);
  EXPECT_THAT(ErrorsAfterServer("domains: [{name: a.test, options: " + options + "}]\n"),
              testing::UnorderedElementsAreArray(
                  {HasSubstr("f:2: domains[0].options.gateway.host: required"),
                   HasSubstr("f:2: domains[0].options.prohibited_hosts[0]: \"none\" must be the"),
                   HasSubstr("f:2: domains[0].options.prohibited_hosts[1]: the address has bits"),
                   HasSubstr("f:2: domains[0].options.redial_rate.count: required"),
                   HasSubstr("f:2: domains[0].options.ehlo_hostname: "),
                   HasSubstr("f:2: domains[0].options.gateway.port: must be 1 to 65535")}));
}

TEST(Validate, SomeOptionsBelongToTheWidestScope) {
  EXPECT_THAT(ErrorsAfterServer("options: {drain_budget: 1s, max_message_bytes: 1MiB}\n"),
              IsEmpty());
  EXPECT_THAT(ErrorsAfterServer(
                  "bindings: [{name: b, options: {drain_budget: 1s, max_message_bytes: 1MiB}}]\n"),
              ElementsAre(HasSubstr("bindings[0].options.drain_budget: only the widest scope"),
                          HasSubstr("bindings[0].options.max_message_bytes: only the widest")));
}

TEST(Validate, ChecksBoundsOfOptions) {
  EXPECT_THAT(ErrorsAfterServer("options:\n  max_outbound_connections: 20001\n"
                                "  max_recipients_per_batch: 0\n  connect_timeout: 0s\n"
                                "  idle_timeout: 0\n  body_timeout: 61m\n  drain_budget: 0s\n"
                                "  retry_jitter_percent: 51\n  message_expiration: 31d\n"
                                "  remote_smtp_port: 65536\n  max_message_bytes: 51MiB\n"
                                "  redial_rate: {count: 1, per: 0s}\n"),
              ElementsAre(HasSubstr("f:3: "), HasSubstr("f:4: "), HasSubstr("f:5: "),
                          HasSubstr("f:7: options.body_timeout: must be 1ms to 1h, not 1h1m"),
                          HasSubstr("f:9: "), HasSubstr("f:10: "), HasSubstr("f:11: "),
                          HasSubstr("f:12: "), HasSubstr("f:13: options.redial_rate.per: ")));
}

// A new field of the schema must not be forgotten here.
void ExpectBounds(const google::protobuf::Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    EXPECT_TRUE(!field.is_map() || field.full_name() == "postern.v1.Module.options")
        << "the walker knows one map";
    if (field.options().GetExtension(postern::v1::not_served) || field.is_map()) continue;
    const bool number = field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT32 ||
                        field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT64;
    if (number || IsDuration(field)) {
      EXPECT_TRUE(HasBounds(field)) << field.full_name();
      EXPECT_TRUE(!number || !field.is_repeated()) << "lists of numbers cannot be read";
    } else if (field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      ExpectBounds(*field.message_type());
    }
  }
}

TEST(Validate, EveryNumberOfTheSchemaHasBounds) {
  ExpectBounds(*postern::v1::Config::descriptor());
}

TEST(Validate, ChecksWhatCameFromNoFileToo) {
  postern::v1::Config config;
  config.mutable_options()->mutable_idle_timeout()->set_seconds(-1);
  const absl::Status status = Check(config);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()),
            "server.spool_directory: required\n"
            "options.idle_timeout: must be 0s to 1h, not negative");
}

}  // namespace
}  // namespace postern::config

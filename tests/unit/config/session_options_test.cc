// Addresses, TLS and AUTH of a session, as the file writes them.
#include "server/config/session_options.h"

#include <fstream>

#include "server/config/options_resolver.h"
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;

std::shared_ptr<const mail::DeliveryOptions> OptionsOf(const std::string& text,
                                                       absl::string_view domain = "a.test",
                                                       absl::string_view binding = "default") {
  return OptionsResolver(Loaded(text)).ForPair(domain, binding);
}

TEST(SessionOptions, AreWhatTheFileSays) {
  const auto options = OptionsOf(R"(
options:
  address_family: prefer_ipv6
  bind_address: ["2001:db8::1", 192.0.2.1]
  tls: required
  tls_verify: host
  tls_fallback: false
  tls_protocols: 1.3
  tls_certificate_file: /c
  tls_key_file: /k
  starttls_timeout: 7s
)");
  EXPECT_EQ(options->address_family, mail::AddressFamily::kPreferIpv6);
  EXPECT_EQ(options->bind_ipv4, "192.0.2.1");
  EXPECT_EQ(options->bind_ipv6, "2001:db8::1");
  EXPECT_EQ(options->tls, mail::TlsPolicy::kRequired);
  EXPECT_EQ(options->tls_verify, mail::TlsVerify::kHost);
  EXPECT_FALSE(options->tls_fallback);
  EXPECT_TRUE(options->tls_only_13);
  EXPECT_EQ(options->tls_certificate_file, "/c");
  EXPECT_EQ(options->tls_key_file, "/k");
  EXPECT_EQ(options->starttls_timeout, absl::Seconds(7));
  EXPECT_EQ(options->credentials, nullptr);
}

TEST(SessionOptions, ReportsWhatMakesNoSense) {
  EXPECT_THAT(
      Errors(R"(server: {spool_directory: /s}
options:
  bind_address: [192.0.2.1, "192.0.2.1/32", mx.test, 192.0.2.2]
  tls_protocols: 1.1
  tls_certificate_file: /c
  gateway: {host: g.test, password: x}
domains:
- name: a.test
  options: {tls_key_file: /k, gateway: {host: g.test, username: u}}
- name: b.test
  options: {gateway: {host: g.test, username: u, password: p, tls: ifavailable}}
)"),
      ElementsAre("f:2: options.tls_key_file: required: a certificate and its key go together",
                  "f:3: options.bind_address[1]: expected an address, not \"192.0.2.1/32\"",
                  "f:3: options.bind_address[2]: expected an address, not \"mx.test\"",
                  "f:3: options.bind_address[3]: a second IPv4 address",
                  "f:4: options.tls_protocols: expected \"1.2\" or \"1.3\", not \"1.1\"",
                  "f:6: options.gateway.username: required with a password",
                  "f:9: domains[0].options.gateway.password: with a username, one of password and "
                  "password_file is required",
                  "f:9: domains[0].options.tls_certificate_file: required: a certificate and its "
                  "key go together",
                  "f:11: domains[1].options.gateway.tls: must be required when there is a "
                  "username"));
}

TEST(SessionOptions, TheQueueOfAGatewayHasItsCredentials) {
  const std::string text = R"(
options:
  tls: ifavailable
  remote_smtp_port: 2525
  gateway: {host: G.test, username: all, password: x}
bindings:
- name: b
  options: {gateway: {host: G.test, port: 2525, username: own, password: y}}
- name: c
domains:
- name: d.test
  options: {gateway: {host: "::1", port: 25, tls: no}}
)";
  const OptionsResolver resolver(Loaded(text));
  const auto of = [&resolver](absl::string_view queue, absl::string_view binding) {
    return resolver.ForPair(queue, binding);
  };
  ASSERT_NE(of("g.test:2525", "default")->credentials, nullptr);
  EXPECT_EQ(of("g.test:2525", "default")->credentials->username, "all");
  EXPECT_EQ(of("g.test:2525", "c")->credentials->username, "all");
  EXPECT_EQ(of("g.test:2525", "b")->credentials->username, "own");
  EXPECT_EQ(of("g.test:2525", "b")->credentials->password, "y");
  // No password without TLS, nor to anyone who cannot show who he is.
  EXPECT_EQ(of("g.test:2525", "b")->tls, mail::TlsPolicy::kRequired);
  EXPECT_EQ(of("g.test:2525", "b")->tls_verify, mail::TlsVerify::kHost);
  EXPECT_EQ(of("[::1]:25", "default")->tls, mail::TlsPolicy::kNo);
  // Mail domains and other gateways have nothing of it.
  EXPECT_EQ(of("a.test", "b")->credentials, nullptr);
  EXPECT_EQ(of("a.test", "b")->tls, mail::TlsPolicy::kIfAvailable);
  EXPECT_EQ(of("g.test:26", "b")->credentials, nullptr);
}

TEST(SessionOptions, APasswordIsTheFirstLineOfItsFile) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/password";
  const auto read = [&path](const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
    return ReadPassword(path);
  };
  EXPECT_EQ(*read("secret\nmore\n"), "secret");
  EXPECT_EQ(*read("secret\r\n"), "secret");
  EXPECT_EQ(*read("no newline"), "no newline");
  EXPECT_FALSE(read("").ok());
  EXPECT_FALSE(read("\nsecret\n").ok());
  EXPECT_FALSE(read(std::string(2000, 'x')).ok());
  EXPECT_FALSE(ReadPassword("/nonexistent/password").ok());
}

}  // namespace
}  // namespace postern::config

// The files that are shipped: they load, and what they say about keys and defaults is true.
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "server/config/defaults.h"
#include "server/config/field_text.h"
#include "server/config/options_resolver.h"
#include "server/config/settings.h"
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

std::string ReadDeploy(const std::string& name) {
  std::ifstream file(absl::StrCat(POSTERN_DEPLOY_DIRECTORY, "/", name));
  EXPECT_TRUE(file.is_open()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// A file with every "#key: value" put in force.
std::string Uncommented(const std::string& text) {
  std::string out;
  for (std::string line : std::vector<std::string>(absl::StrSplit(text, '\n'))) {
    const std::size_t hash = line.find_first_not_of(' ');
    if (hash != std::string::npos && line[hash] == '#') {
      const absl::string_view rest = absl::string_view(line).substr(hash + 1);
      const bool prose = rest.empty() || (rest[0] == ' ' && rest.size() > 1 && rest[1] != ' ');
      line = prose ? "" : line.substr(0, hash) + std::string(rest);
    }
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string Uncommented() { return Uncommented(ReadDeploy("postern.yaml")); }

TEST(ProductionFile, Loads) {
  const auto loaded = Load(absl::StrCat(POSTERN_DEPLOY_DIRECTORY, "/postern.yaml"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Settings settings = SettingsOf(loaded->config);
  EXPECT_EQ(settings.spool_directory, "/var/lib/postern/spool");
  EXPECT_TRUE(settings.grpc_listeners[0].endpoint.loopback);
  EXPECT_TRUE(settings.http.loopback);
}

void ExpectMentioned(const google::protobuf::Descriptor& type, const std::string& text) {
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    if (field.options().GetExtension(postern::v1::not_served)) continue;
    EXPECT_TRUE(absl::StrContains(text, field.name() + ":")) << field.full_name();
    const bool ours = field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE &&
                      absl::StartsWith(field.message_type()->full_name(), "postern.v1.");
    if (ours && !field.is_map()) ExpectMentioned(*field.message_type(), text);
  }
}

TEST(ProductionFile, HasEveryServedKey) {
  ExpectMentioned(*postern::v1::Config::descriptor(), Uncommented());
}

// `config` delivers like a configuration that sets nothing but the spool's directory.
void ExpectDefaults(const postern::v1::Config& config) {
  const OptionsResolver documented(config);
  const OptionsResolver built_in(Loaded(""));
  const auto a = documented.ForPair("other.test", "default");
  const auto b = built_in.ForPair("other.test", "default");
  EXPECT_EQ(a->max_outbound_connections, b->max_outbound_connections);
  EXPECT_EQ(a->max_deliveries_per_connection, b->max_deliveries_per_connection);
  EXPECT_EQ(a->max_recipients_per_batch, b->max_recipients_per_batch);
  EXPECT_EQ(a->idle_timeout, b->idle_timeout);
  EXPECT_EQ(a->mx_lookup_timeout, b->mx_lookup_timeout);
  EXPECT_EQ(a->connect_timeout, b->connect_timeout);
  EXPECT_EQ(a->banner_timeout, b->banner_timeout);
  EXPECT_EQ(a->ehlo_timeout, b->ehlo_timeout);
  EXPECT_EQ(a->mailfrom_timeout, b->mailfrom_timeout);
  EXPECT_EQ(a->rcptto_timeout, b->rcptto_timeout);
  EXPECT_EQ(a->data_timeout, b->data_timeout);
  EXPECT_EQ(a->block_timeout, b->block_timeout);
  EXPECT_EQ(a->body_timeout, b->body_timeout);
  EXPECT_EQ(a->rset_timeout, b->rset_timeout);
  EXPECT_EQ(a->quit_timeout, b->quit_timeout);
  EXPECT_EQ(a->starttls_timeout, b->starttls_timeout);
  EXPECT_EQ(a->retry_schedule, b->retry_schedule);
  EXPECT_EQ(a->retry_jitter, b->retry_jitter);
  EXPECT_EQ(a->message_expiration, b->message_expiration);
  EXPECT_EQ(a->redial_rate, b->redial_rate);
  EXPECT_EQ(a->redial_burst, b->redial_burst);
  EXPECT_EQ(a->remote_smtp_port, b->remote_smtp_port);
  EXPECT_EQ(a->address_family, b->address_family);
  EXPECT_EQ(a->bind_ipv4 + a->bind_ipv6, b->bind_ipv4 + b->bind_ipv6);
  EXPECT_EQ(a->tls, b->tls);
  EXPECT_EQ(a->tls_verify, b->tls_verify);
  EXPECT_EQ(a->tls_fallback, b->tls_fallback);
  EXPECT_EQ(a->tls_only_13, b->tls_only_13);
  ASSERT_EQ(a->prohibited_hosts.size(), b->prohibited_hosts.size());
  for (std::size_t i = 0; i < a->prohibited_hosts.size(); ++i) {
    EXPECT_EQ(a->prohibited_hosts[i].text, b->prohibited_hosts[i].text);
  }
  EXPECT_TRUE(a->routes.empty());
  const Settings documented_settings = SettingsOf(config);
  const Settings defaults = SettingsOf(Loaded(""));
  EXPECT_EQ(documented_settings.grpc_listeners[0].address, defaults.grpc_listeners[0].address);
  EXPECT_EQ(documented_settings.log_level, defaults.log_level);
  EXPECT_EQ(documented_settings.spool_reserve_bytes, defaults.spool_reserve_bytes);
  EXPECT_EQ(documented_settings.max_message_bytes, defaults.max_message_bytes);
  EXPECT_EQ(documented_settings.drain_budget, defaults.drain_budget);
}

TEST(ProductionFile, ItsCommentedKeysAreValidAndTheirValuesTheDefaults) {
  const auto full = LoadText("uncommented", Uncommented());
  ASSERT_TRUE(full.ok()) << full.status();
  // What has no fixed default is an example.
  postern::v1::Config config = full->config;
  config.mutable_options()->clear_gateway();
  config.mutable_options()->clear_max_retries();
  config.mutable_options()->clear_ehlo_hostname();
  ExpectDefaults(config);
}

// The keys that stand in a file, of those that the schema has.
void CollectFields(const google::protobuf::Descriptor& type, std::set<std::string>* names) {
  if (!names->insert(type.full_name()).second) return;
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    names->insert(field.name());
    const bool ours = field.message_type() != nullptr && !field.is_map() &&
                      absl::StartsWith(field.message_type()->full_name(), "postern.v1.");
    if (ours) CollectFields(*field.message_type(), names);
  }
}

std::set<std::string> KeysIn(const std::string& text) {
  std::set<std::string> known, found;
  CollectFields(*postern::v1::Config::descriptor(), &known);
  const std::regex key("([a-z0-9_]+):");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), key); it != std::sregex_iterator();
       ++it) {
    if (known.count((*it)[1]) > 0) found.insert((*it)[1]);
  }
  return found;
}

TEST(PrintDefaults, IsAValidConfigurationThatChangesNothing) {
  const auto loaded = LoadText("defaults", PrintDefaults());
  ASSERT_TRUE(loaded.ok()) << loaded.status() << "\n" << PrintDefaults();
  ExpectDefaults(loaded->config);
}

TEST(PrintDefaults, NamesTheKeysOfTheShippedFile) {
  EXPECT_EQ(KeysIn(Uncommented(PrintDefaults())), KeysIn(Uncommented()));
}

TEST(PrintDefaults, KnowsTheDefaultOfEveryNumberAndTime) {
  // These depend on the host, or are no limit at all.
  const std::set<std::string> without = {"scheduler_threads", "max_retries"};
  for (const auto* type : {postern::v1::Server::descriptor(), postern::v1::Policy::descriptor(),
                           postern::v1::Options::descriptor()}) {
    for (int i = 0; i < type->field_count(); ++i) {
      const google::protobuf::FieldDescriptor& field = *type->field(i);
      const bool plain = field.has_presence() && !field.is_repeated() &&
                         (field.message_type() == nullptr || IsDuration(field));
      if (!plain || field.options().GetExtension(postern::v1::not_served)) continue;
      EXPECT_EQ(DefaultText(field).empty(), without.count(field.name()) > 0) << field.full_name();
    }
  }
}

TEST(PrintDefaults, HasTheCommentsOfTheSchema) {
  const std::string text = PrintDefaults();
  EXPECT_THAT(text, testing::HasSubstr("\n  # Recipients of one transaction; 1 to 10000;"));
  EXPECT_THAT(text, testing::HasSubstr("\n  # One of: debug, info, warning, error.\n"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("not served")));
}

TEST(QuickstartFile, LoadsOnceItsPlaceholdersAreFilled) {
  const std::string text =
      absl::StrReplaceAll(ReadDeploy("quickstart.yaml"), {{"@SPOOL@", "/tmp/spool"},
                                                          {"@GRPC@", "127.0.0.1:9090"},
                                                          {"@HTTP@", "127.0.0.1:9091"},
                                                          {"@DNS@", "127.0.0.1:5353"},
                                                          {"@SMTP_PORT@", "2525"}});
  const auto loaded = LoadText("quickstart.yaml", text);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto options = OptionsResolver(loaded->config).ForPair("a.test", "default");
  EXPECT_EQ(options->remote_smtp_port, 2525);
  EXPECT_TRUE(options->prohibited_hosts.empty());
  EXPECT_EQ(loaded->config.dns_servers(0), "127.0.0.1:5353");
}

}  // namespace
}  // namespace postern::config

// Variables of the environment over the file.
#include "server/config/environment.h"

#include <fstream>
#include <map>

#include "absl/status/status.h"
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kFile[] =
    "server: {spool_directory: /s, http_listener: '127.0.0.1:9091', hostname: file.test,\n"
    "         grpc_listeners: [{address: 'unix:/run/p.sock'}, {address: '127.0.0.1:9090'}]}\n";

absl::StatusOr<LoadedConfig> With(const std::map<std::string, std::string>& variables) {
  absl::StatusOr<LoadedConfig> file = LoadText("f", kFile);
  EXPECT_TRUE(file.ok()) << file.status();
  const Environment environment = [&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  return ApplyEnvironment(environment, *std::move(file));
}

std::vector<std::string> ErrorsWith(const std::map<std::string, std::string>& variables) {
  const absl::StatusOr<LoadedConfig> loaded = With(variables);
  if (loaded.ok()) return {};
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  return absl::StrSplit(std::string(loaded.status().message()), '\n');
}

TEST(Environment, ChangesNothingWhenNothingIsSet) {
  const auto loaded = With({});
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->config.DebugString(), LoadText("f", kFile)->config.DebugString());
  EXPECT_THAT(loaded->notes, IsEmpty());
}

TEST(Environment, GoesBeforeTheFileAndSaysSo) {
  const auto loaded = With({{"POSTERN_SPOOL_DIRECTORY", "/mnt/spool"},
                            {"POSTERN_HTTP_LISTENER", "0.0.0.0:8080"},
                            {"POSTERN_HOSTNAME", "env.test"},
                            {"POSTERN_LOG_LEVEL", "warning"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const postern::v1::Server& server = loaded->config.server();
  EXPECT_EQ(server.spool_directory(), "/mnt/spool");
  EXPECT_EQ(server.http_listener(), "0.0.0.0:8080");
  EXPECT_EQ(server.hostname(), "env.test");
  EXPECT_EQ(server.log_level(), postern::v1::LOG_LEVEL_WARNING);
  EXPECT_EQ(server.grpc_listeners_size(), 2);
  ASSERT_EQ(loaded->notes.size(), 4u);
  EXPECT_EQ(loaded->notes[0], "POSTERN_SPOOL_DIRECTORY=/mnt/spool goes before f");
}

TEST(Environment, SaysWhereEveryFileIsThatIsWritten) {
  const auto loaded = With({{"POSTERN_DISPOSITION_LOG", "/logs/dispositions"},
                            {"POSTERN_AUDIT_LOG", "/logs/audit"},
                            {"POSTERN_SWITCH_FILE", "/run/policy-off"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.server().disposition_log().path(), "/logs/dispositions");
  EXPECT_EQ(loaded->config.policy().audit_log().path(), "/logs/audit");
  EXPECT_EQ(loaded->config.policy().switch_file(), "/run/policy-off");
  EXPECT_THAT(loaded->notes, testing::SizeIs(3));
}

TEST(Environment, HelpNamesEachVariable) {
  const std::string help = EnvironmentHelp();
  for (const char* name :
       {"POSTERN_SPOOL_DIRECTORY", "POSTERN_GRPC_LISTENER", "POSTERN_HTTP_LISTENER",
        "POSTERN_HOSTNAME", "POSTERN_LOG_LEVEL", "POSTERN_TLS_CERTIFICATE_FILE",
        "POSTERN_TLS_KEY_FILE", "POSTERN_TLS_CLIENT_CA_FILE", "POSTERN_TLS_DIRECTORY",
        "POSTERN_DISPOSITION_LOG", "POSTERN_AUDIT_LOG", "POSTERN_SWITCH_FILE"}) {
    EXPECT_THAT(help, HasSubstr(absl::StrCat("  ", name, " ")));
  }
}

TEST(Environment, ListenersReplaceThoseOfTheFile) {
  const auto loaded = With({{"POSTERN_GRPC_LISTENER", "127.0.0.1:1, unix:/tmp/x.sock"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->config.server().grpc_listeners_size(), 2);
  EXPECT_EQ(loaded->config.server().grpc_listeners(0).address(), "127.0.0.1:1");
  EXPECT_EQ(loaded->config.server().grpc_listeners(1).address(), "unix:/tmp/x.sock");
}

TEST(Environment, AnEmptyVariableIsNotSet) {
  const auto loaded = With({{"POSTERN_SPOOL_DIRECTORY", ""}, {"POSTERN_GRPC_LISTENER", ""}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.server().spool_directory(), "/s");
  EXPECT_EQ(loaded->config.server().grpc_listeners_size(), 2);
}

TEST(Environment, ErrorsNameTheVariable) {
  EXPECT_THAT(ErrorsWith({{"POSTERN_LOG_LEVEL", "loud"},
                          {"POSTERN_HTTP_LISTENER", "nowhere"},
                          {"POSTERN_HOSTNAME", "not a name"},
                          {"POSTERN_GRPC_LISTENER", "127.0.0.1:1,,unix:/x"}}),
              ElementsAre(StartsWith("POSTERN_LOG_LEVEL: expected one of debug, info"),
                          StartsWith("POSTERN_GRPC_LISTENER: server.grpc_listeners[1].address: "),
                          StartsWith("POSTERN_HTTP_LISTENER: server.http_listener: "),
                          StartsWith("POSTERN_HOSTNAME: server.hostname: ")));
}

TEST(Environment, DoesNotOpenPlaintextToTheNetwork) {
  EXPECT_THAT(ErrorsWith({{"POSTERN_GRPC_LISTENER", "0.0.0.0:9090"}}),
              ElementsAre(HasSubstr("insecure: true")));
}

TEST(Environment, ADirectoryWithoutCertificatesChangesNothingButSaysWhatToMount) {
  const TempDirectory empty;
  const auto loaded = With({{"POSTERN_TLS_DIRECTORY", empty.path()}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.DebugString(), LoadText("f", kFile)->config.DebugString());
  EXPECT_THAT(loaded->notes, ElementsAre(HasSubstr("Mount tls.crt, tls.key and ca.crt")));
}

// A directory as certificates are mounted.
std::string MountedCertificates() {
  static const TempDirectory directory;
  std::ofstream(absl::StrCat(directory.path(), "/tls.crt")) << "certificate";
  return directory.path();
}

TEST(Environment, MountedCertificatesServeTlsOnAllAddressesBesideTheSockets) {
  const std::string directory = MountedCertificates();
  const auto loaded = With({{"POSTERN_TLS_DIRECTORY", directory}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const postern::v1::Server& server = loaded->config.server();
  ASSERT_EQ(server.grpc_listeners_size(), 2);
  EXPECT_EQ(server.grpc_listeners(0).address(), "unix:/run/p.sock");
  EXPECT_FALSE(server.grpc_listeners(0).has_tls());
  EXPECT_EQ(server.grpc_listeners(1).address(), "[::]:9090");
  EXPECT_EQ(server.grpc_listeners(1).tls().certificate_file(), directory + "/tls.crt");
  EXPECT_EQ(server.grpc_listeners(1).tls().key_file(), directory + "/tls.key");
  EXPECT_EQ(server.grpc_listeners(1).tls().client_ca_file(), directory + "/ca.crt");
}

TEST(Environment, MountedCertificatesAreForTheListenersThatAreNamed) {
  const auto loaded = With({{"POSTERN_TLS_DIRECTORY", MountedCertificates()},
                            {"POSTERN_GRPC_LISTENER", "0.0.0.0:7000,unix:/x"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const postern::v1::Server& server = loaded->config.server();
  ASSERT_EQ(server.grpc_listeners_size(), 2);
  EXPECT_EQ(server.grpc_listeners(0).address(), "0.0.0.0:7000");
  EXPECT_TRUE(server.grpc_listeners(0).has_tls());
  EXPECT_FALSE(server.grpc_listeners(1).has_tls());
}

TEST(Environment, CertificatesByTheirNamesGoBeforeMountedOnes) {
  const std::map<std::string, std::string> named = {
      {"POSTERN_TLS_DIRECTORY", MountedCertificates()},
      {"POSTERN_TLS_CERTIFICATE_FILE", "/c"},
      {"POSTERN_TLS_KEY_FILE", "/k"},
      {"POSTERN_TLS_CLIENT_CA_FILE", "/a"}};
  const auto loaded = With(named);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const postern::v1::TlsFiles& tls = loaded->config.server().grpc_listeners(1).tls();
  EXPECT_EQ(tls.certificate_file() + tls.key_file() + tls.client_ca_file(), "/c/k/a");
}

TEST(Environment, HalfOfTlsNamesTheVariableThatIsMissing) {
  EXPECT_THAT(ErrorsWith({{"POSTERN_TLS_CERTIFICATE_FILE", "/c"},
                          {"POSTERN_GRPC_LISTENER", "127.0.0.1:1"}}),
              ElementsAre("POSTERN_TLS_KEY_FILE: server.grpc_listeners[0].tls.key_file: required"));
}

TEST(Environment, LoadPutsItOverTheFile) {
  const std::string path = absl::StrCat(POSTERN_DEPLOY_DIRECTORY, "/postern.yaml");
  const auto loaded = Load(path, [](const char* name) -> std::optional<std::string> {
    if (std::string(name) == "POSTERN_SPOOL_DIRECTORY") return "/elsewhere";
    return std::nullopt;
  });
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.server().spool_directory(), "/elsewhere");
}

}  // namespace
}  // namespace postern::config

// A configuration in force: written as YAML, compared, changed and kept.
#include <spdlog/sinks/ringbuffer_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "server/base/log.h"
#include "server/config/live_config.h"
#include "server/config/redact.h"
#include "server/config/restart.h"
#include "server/config/state_file.h"
#include "server/config/yaml_text.h"
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

namespace v1 = postern::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kRich[] = R"(
modules:
- name: m
  path: /m.so
  options: {b: "x: y", a: "1"}
policy:
  timeout: 250ms
  default_verdict: shutdown
  domains:
  - {domain: "*.example.net", default_verdict: keep, cause_defaults: [{cause: timeout, verdict: keep}]}
options:
  retry_schedule: [5m, 1h30m]
  prohibited_hosts: ["::1", 127.0.0.0/8]
  redial_rate: {count: 3, per: 2s, burst: 9}
  max_message_bytes: 3MiB
  max_retries: 0
domains:
- name: a.test
- name: b.test
  options: {}
dns_servers: ["[2001:db8::53]:53"]
)";

TEST(YamlText, ReadsBackToTheSameConfiguration) {
  const v1::Config config = Loaded(kRich);
  const std::string yaml = ToYaml(config);
  const auto again = LoadText("again", yaml);
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << yaml;
  EXPECT_EQ(again->config.SerializeAsString().size(), config.SerializeAsString().size());
  EXPECT_EQ(ToYaml(again->config), yaml);
}

TEST(YamlText, QuotesWhatWouldBeReadAsSomethingElse) {
  EXPECT_EQ(YamlScalar("127.0.0.1:9090"), "127.0.0.1:9090");
  EXPECT_EQ(YamlScalar("/run/x.sock"), "/run/x.sock");
  for (const std::string text : {"", "true", "No", "*", "::1", "a: b", "x:", "- a", "#c", "a\"b\\",
                                 "a\nb", "\x01", "\xc3\xa4", "null"}) {
    v1::Config config;
    config.mutable_server()->set_spool_directory(text);
    v1::Config read;
    ReadText(ToYaml(config), &read);
    EXPECT_EQ(read.server().spool_directory(), text);
  }
}

TEST(Redacted, HidesSecretsAndTheMarkIsNoSecret) {
  v1::Config config = Loaded("");
  v1::Gateway* gateway = config.add_bindings()->add_domains()->mutable_options()->mutable_gateway();
  gateway->set_password("hush");
  const v1::Config shown = Redacted(config);
  EXPECT_THAT(shown.DebugString(), testing::Not(HasSubstr("hush")));
  EXPECT_EQ(gateway->password(), "hush");
  Problems problems("");
  CheckRedacted(shown, "", problems);
  ASSERT_EQ(problems.List().size(), 1U);
  EXPECT_EQ(problems.List()[0].path, "bindings[0].domains[0].options.gateway.password");
}

TEST(RestartPaths, NamesWhatIsReadAtTheStartOnly) {
  const v1::Config running = Loaded("");
  EXPECT_THAT(RestartPaths(running, Loaded("options: {max_retries: 1}\nroutes: []\n")), IsEmpty());
  v1::Config next = Loaded(kRich);
  next.mutable_server()->set_log_level(v1::LOG_LEVEL_DEBUG);
  EXPECT_THAT(RestartPaths(running, next), ElementsAre("modules"));
  next.mutable_server()->add_grpc_listeners()->set_address("127.0.0.1:1");
  next.mutable_policy()->set_event_ring_events(5);
  EXPECT_THAT(RestartPaths(running, next),
              ElementsAre("server.grpc_listeners", "modules", "policy.event_ring_events"));
}

class LiveConfigTest : public testing::Test {
 protected:
  LiveConfigTest() {
    char name[] = "/tmp/postern-live-XXXXXX";
    directory_ = mkdtemp(name);
    Write("");
  }
  ~LiveConfigTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& more) {
    std::ofstream(File()) << "server: {spool_directory: " << directory_ << "}\n" << more;
  }
  std::string File() const { return directory_ + "/postern.yaml"; }

  std::unique_ptr<LiveConfig> Open() {
    auto live = LiveConfig::Open([this] { return Load(File()); }, clock_);
    EXPECT_TRUE(live.ok()) << live.status();
    EXPECT_TRUE((*live)->Keep().ok());
    (*live)->SetSink(nullptr, [](const v1::Config&, std::uint64_t) {});
    return *std::move(live);
  }
  LiveConfig::ApplyRequest Request(int retries) {
    LiveConfig::ApplyRequest request;
    request.what = absl::StrCat("server: {spool_directory: ", directory_,
                                "}\noptions: {max_retries: ", retries, "}\n");
    request.by = "me";
    return request;
  }

  base::SystemClock clock_;
  std::string directory_;
};

TEST_F(LiveConfigTest, TellsTheSinkOfEachChange) {
  const auto live = Open();
  std::vector<std::string> told;
  live->SetSink(nullptr, [&](const v1::Config& config, std::uint64_t generation) {
    told.push_back(absl::StrCat(generation, ":", config.options().max_retries()));
    // Who reads the generation may rely on it: it is told last.
    EXPECT_EQ(live->in_force().generation, generation - 1);
  });
  ASSERT_TRUE(live->Apply(Request(4)).ok());
  Write("options: {max_retries: 5}\n");
  live->Reload();
  live->Reload();
  EXPECT_THAT(told, ElementsAre("2:4", "3:5"));
  EXPECT_EQ(live->in_force().generation, 3U);
}

TEST_F(LiveConfigTest, WhatCannotBeWrittenIsNotPutInForce) {
  const auto live = Open();
  std::filesystem::remove_all(live->state_directory());
  std::ofstream(live->state_directory()) << "in the way";
  const auto outcome = live->Apply(Request(4));
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("control/config.json"));
  EXPECT_EQ(live->in_force().generation, 1U);
  EXPECT_FALSE(live->in_force().applied.has_value());
}

TEST_F(LiveConfigTest, WhatTheProcessFindsWrongIsNotPutInForce) {
  const auto live = Open();
  live->SetSink([](const v1::Config&) { return absl::InvalidArgumentError("no such file"); },
                [](const v1::Config&, std::uint64_t) { FAIL(); });
  const auto outcome = live->Apply(Request(4));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->errors.size(), 1U);
  EXPECT_EQ(outcome->errors[0].cause, "no such file");
  Write("options: {max_retries: 5}\n");
  live->Reload();
  EXPECT_EQ(live->in_force().generation, 1U);
}

TEST_F(LiveConfigTest, WhatIsWrongWithTheFileComesOneByOne) {
  const auto live = Open();
  std::string wrong = "domains:\n";
  for (int i = 0; i < 300; ++i) absl::StrAppend(&wrong, "- {nmae: d", i, ".test}\n");
  Write(wrong);
  LiveConfig::ApplyRequest request;
  request.what = LiveConfig::File();
  auto outcome = live->Apply(request);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->generation, 1U);
  ASSERT_GE(outcome->errors.size(), 300U);
  EXPECT_THAT(outcome->errors[0].path, HasSubstr("domains[0]"));
  EXPECT_EQ(outcome->errors[0].line, 3);
  EXPECT_EQ(outcome->errors.back().line, 302);
  EXPECT_THAT(outcome->errors[0].cause, HasSubstr("unknown key"));

  Write("");
  live->SetSink([](const v1::Config&) { return absl::InvalidArgumentError("one\nanother"); },
                [](const v1::Config&, std::uint64_t) { FAIL(); });
  outcome = live->Apply(request);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->errors.size(), 2U);
  EXPECT_EQ(outcome->errors[1].cause, "another");

  std::filesystem::remove(File());
  EXPECT_EQ(live->Apply(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LiveConfigTest, WhatAVariableSaysWrongComesWithItsPath) {
  Write("");
  bool bad = false;
  auto live = LiveConfig::Open(
      [&] {
        return Load(File(), [&](const char* name) -> std::optional<std::string> {
          if (bad && std::string(name) == "POSTERN_HTTP_LISTENER") return "nowhere";
          return std::nullopt;
        });
      },
      clock_);
  ASSERT_TRUE(live.ok()) << live.status();
  bad = true;
  LiveConfig::ApplyRequest request;
  request.what = LiveConfig::File();
  const auto outcome = (*live)->Apply(request);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->errors.size(), 1U);
  EXPECT_EQ(outcome->errors[0].path, "server.http_listener");
  EXPECT_EQ(outcome->errors[0].line, 0);
  EXPECT_THAT(outcome->errors[0].cause, HasSubstr("POSTERN_HTTP_LISTENER: "));
}

TEST_F(LiveConfigTest, WordsOfTheCallerCannotBeginALineOfTheLog) {
  const auto lines = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(100);
  lines->set_pattern("%v");
  base::Log().sinks().push_back(lines);
  const auto live = Open();
  LiveConfig::ApplyRequest request = Request(4);
  request.by = "me\rand";
  request.reason = "why\naudit call=Control.Suspend who=\"ops\"";
  ASSERT_TRUE(live->Apply(request).ok());
  Write("options: {max_retries: 5}\n");
  live->Reload();
  base::Log().sinks().pop_back();
  int of_the_call = 0;
  for (const std::string& line : lines->last_formatted()) {
    EXPECT_EQ(line.find_first_of("\n\r"), line.size() - 1) << line;
    if (line.find(R"(me\rand: why\naudit call=)") != std::string::npos) ++of_the_call;
  }
  EXPECT_EQ(of_the_call, 2);
  EXPECT_EQ(live->in_force().generation, 3U);
}

TEST_F(LiveConfigTest, OneThatRanOutWhileNobodyRanIsGone) {
  LiveConfig::ApplyRequest request = Request(4);
  request.duration = absl::Nanoseconds(1);
  ASSERT_TRUE(Open()->Apply(std::move(request)).ok());
  const auto live = Open();
  EXPECT_EQ(live->in_force().generation, 3U);
  EXPECT_FALSE(live->in_force().applied.has_value());
}

TEST_F(LiveConfigTest, TheStateIsNobodyElsesBusiness) {
  const auto live = Open();
  struct stat info = {};
  ASSERT_EQ(stat((live->state_directory() + "/config.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

}  // namespace
}  // namespace postern::config

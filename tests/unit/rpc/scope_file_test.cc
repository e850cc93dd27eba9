// Rules for scopes in the file that survives a restart.
#include <cstdlib>
#include <filesystem>

#include "postern/v1/state.pb.h"
#include "server/config/state_file.h"
#include "server/rpc/convert_scope.h"
#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

class ScopeFileTest : public RpcTest {
 protected:
  ScopeFileTest() {
    std::string name = absl::StrCat(testing::TempDir(), "/scopes.XXXXXX");
    directory = mkdtemp(name.data());
    bridge = std::make_unique<bridge::Bridge>(policy, clock, registry, EncodeEvent);
  }

  ~ScopeFileTest() override { std::filesystem::remove_all(directory); }

  static bridge::Verdict Rule(std::uint64_t id, std::string domain, std::string binding = "") {
    bridge::ScopeTarget target;
    target.domain = std::move(domain);
    target.binding = std::move(binding);
    target.after_age = absl::Nanoseconds(1);  // what any connection is
    bridge::Verdict verdict;
    verdict.verdict_id = id;
    verdict.decision = bridge::Decision::kShutdown;
    verdict.target = std::move(target);
    return verdict;
  }
  void Restart() {
    ASSERT_TRUE(SaveScopes(directory, *bridge).ok());
    bridge = std::make_unique<bridge::Bridge>(policy, clock, registry, EncodeEvent);
    ASSERT_TRUE(RestoreScopes(directory, *bridge).ok());
  }
  v1::ScopesState File() {
    v1::ScopesState file;
    const auto found = config::ReadState(directory + "/scopes.json", &file);
    EXPECT_TRUE(found.ok() && *found) << found.status();
    return file;
  }
  // Is a session of the pair ended by what stands?
  bool Ended(std::string domain, std::string binding = "default") {
    FakeSession session(*bridge);
    session.info.pair =
        std::make_shared<const mail::PairKey>(mail::PairKey{std::move(domain), std::move(binding)});
    session.Connect();
    clock.Advance(absl::Nanoseconds(1));
    EXPECT_FALSE(session.Ask());
    const bool ended = session.Settle().shutdown;
    session.Close();
    return ended;
  }

  std::string directory;
};

TEST_F(ScopeFileTest, EachRuleKeepsOfItsFilterWhatConcernsItsScopeAndNoMore) {
  bridge::Filter within;
  for (int i = 0; i < 100; ++i) within.domains.push_back(absl::StrCat("d", i, ".example"));
  within.domains.push_back("*.wide.example");
  within.bindings = {"news", "bulk"};
  const auto results = bridge->PostVerdicts(
      "p", "me", within,
      {Rule(1, "d1.example"), Rule(2, "a.wide.example", "news"), Rule(3, "*.example", "bulk"),
       Rule(4, "outside.example"), Rule(5, "d2.example", "default")});
  ASSERT_TRUE(results.ok());
  Restart();
  std::map<std::string, int> domains;
  const v1::ScopesState file = File();
  for (const v1::ScopeState& scope : file.scopes()) {
    domains[scope.scope().domain()] = scope.within().domains_size();
    EXPECT_GE(scope.within().bindings_size(), 1) << scope.ShortDebugString();
  }
  EXPECT_EQ(domains, (std::map<std::string, int>{{"d1.example", 1},
                                                 {"a.wide.example", 1},
                                                 {"*.example", 101},
                                                 {"outside.example", 1},
                                                 {"d2.example", 1}}));
  EXPECT_TRUE(Ended("d1.example", "news"));
  EXPECT_FALSE(Ended("d1.example", "default"));
  EXPECT_TRUE(Ended("a.wide.example", "news"));
  EXPECT_FALSE(Ended("b.wide.example", "news"));
  EXPECT_TRUE(Ended("b.wide.example", "bulk"));
  EXPECT_FALSE(Ended("outside.example", "news"));
  EXPECT_FALSE(Ended("d2.example", "default"));
}

TEST_F(ScopeFileTest, RulesWithTheSameFilterShareItAgain) {
  bridge::Filter within;
  within.bindings = {"news"};
  ASSERT_TRUE(bridge->PostVerdicts("p", "me", within, {Rule(1, "*"), Rule(2, "*", "news")}).ok());
  ASSERT_TRUE(bridge->PostVerdicts("q", "me", {}, {Rule(1, "*")}).ok());
  Restart();
  std::map<std::string, std::vector<std::shared_ptr<const bridge::Matcher>>> filters;
  const auto keep = [&](const bridge::ScopeTable::Kept& rules) {
    for (const auto& [provider, rule] : rules) filters[provider].push_back(rule.within);
    return absl::OkStatus();
  };
  ASSERT_TRUE(bridge->SaveScopes(keep).ok());
  ASSERT_EQ(filters["p"].size(), 2U);
  EXPECT_EQ(filters["p"][0], filters["p"][1]);
  ASSERT_EQ(filters["q"].size(), 1U);
  EXPECT_NE(filters["q"][0], filters["p"][0]);
  EXPECT_EQ(filters["q"][0]->filter().domains, std::vector<std::string>{"*"});
}

TEST_F(ScopeFileTest, ARuleWithADamagedFilterIsLeftOutAndNotAppliedToEverything) {
  ASSERT_TRUE(bridge->PostVerdicts("p", "me", {}, {Rule(1, "*"), Rule(2, "a.example")}).ok());
  ASSERT_TRUE(SaveScopes(directory, *bridge).ok());
  v1::ScopesState file = File();
  for (v1::ScopeState& scope : *file.mutable_scopes()) {
    if (scope.scope().domain() == "*") scope.mutable_within()->add_domains("a*b");
  }
  ASSERT_TRUE(config::WriteState(directory + "/scopes.json", file).ok());
  bridge = std::make_unique<bridge::Bridge>(policy, clock, registry, EncodeEvent);
  ASSERT_TRUE(RestoreScopes(directory, *bridge).ok());
  EXPECT_TRUE(Ended("a.example"));
  EXPECT_FALSE(Ended("b.example"));
}

}  // namespace
}  // namespace postern::rpc

// Names of providers: who gets one, how long it is remembered, what of it is counted where.
#include "tests/unit/bridge/scope_fixture.h"

namespace postern::bridge {
namespace {

class ProviderTest : public ScopeTest {
 protected:
  void SetUp() override { StartWith(2); }
  void StartWith(std::size_t max_providers) {
    options.max_providers = max_providers;
    Start(options);
  }
  absl::Status TryAttach(AttachRequest request) {
    return bridge->Attach(std::move(request), std::make_shared<CountingSubscriber>()).status();
  }
  absl::Status TryAttach(std::string name) { return TryAttach(Request(std::move(name))); }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const ProviderStatus& status : bridge->ListProviders()) names.push_back(status.name);
    return names;
  }
  using List = std::vector<std::string>;

  PolicyOptions options;
};

TEST_F(ProviderTest, ANameForWhichNothingIsKeptIsNotRemembered) {
  FakeSession session(*bridge, clock);
  session.Connect();
  for (int i = 0; i < 10; ++i) {
    const std::string name = absl::StrCat("n", i);
    EXPECT_TRUE(PostAll({}, name).empty());
    Verdict keep = AfterDeliveries("*", 1);
    keep.decision = Decision::kKeep;
    Verdict limited = Recycle("*");
    limited.over_limit = true;
    FakeSession never(*bridge, clock);
    const auto results = PostAll({keep, limited, ForConnection(never, Decision::kShutdown),
                                  ForConnection(session, Decision::kUnspecified),
                                  ForConnection(session, Decision::kAbstain)},
                                 name);
    ASSERT_EQ(results.size(), 5u);
    EXPECT_EQ(results[0].status, VerdictStatus::kDenied);
    EXPECT_EQ(results[1].status, VerdictStatus::kLimit);
    EXPECT_EQ(results[2].status, VerdictStatus::kUnknown);
    EXPECT_EQ(results[3].status, VerdictStatus::kDenied);
    EXPECT_EQ(results[4].detail, "withdrawn");
  }
  Filter bad;
  bad.domains = {"a*b"};
  EXPECT_FALSE(bridge->PostVerdicts("bad", "me", bad, {Recycle("*")}).ok());
  EXPECT_EQ(Names(), List{});
  EXPECT_EQ(Post(AfterDeliveries("*", 1), "kept").status, VerdictStatus::kStored);
  EXPECT_EQ(Names(), List{"kept"});
  EXPECT_EQ(Status("kept").results[static_cast<std::size_t>(VerdictStatus::kStored)], 1u);
}

TEST_F(ProviderTest, AnAttachThatIsRefusedLeavesNoName) {
  options.max_streams = 1;
  StartWith(2);
  Client client = Attach("a");
  EXPECT_EQ(TryAttach("b").code(), absl::StatusCode::kResourceExhausted);
  AttachRequest request = Request("c");
  request.filter.domains = {"a*b"};
  EXPECT_EQ(TryAttach(std::move(request)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Names(), List{"a"});
}

TEST_F(ProviderTest, ANameThatNobodyUsesMakesPlaceTheOneUsedLongestAgoFirst) {
  for (const char* name : {"b", "a", "b"}) ASSERT_TRUE(TryAttach(name).ok());
  EXPECT_EQ(Names(), (List{"a", "b"}));
  Client client = Attach("c");
  EXPECT_EQ(Names(), (List{"b", "c"}));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(TryAttach(absl::StrCat("n", i)).ok());
  EXPECT_EQ(Names(), (List{"c", "n999"}));
}

TEST_F(ProviderTest, StreamsRulesAndConnectionsKeepAName) {
  Client attached = Attach("attached");
  Post(AfterDeliveries("*.test", 1), "ruled");
  absl::Status refused = TryAttach("more");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(refused.message().find("2 names"), absl::string_view::npos) << refused;
  EXPECT_EQ(bridge->PostVerdicts("more", "me", {}, {Recycle("*")}).status().code(),
            absl::StatusCode::kResourceExhausted);
  clock.Advance(absl::Seconds(60));
  Client more = Attach("more");  // the rule is over
  EXPECT_EQ(Names(), (List{"attached", "more"}));

  FakeSession session(*bridge, clock);
  session.Connect();
  session.Ask();
  session.Settle();
  more.Stand(session, Decision::kShutdown, 2);
  more.session.reset();
  EXPECT_FALSE(TryAttach("again").ok()) << "what it said of the connection stands";
  session.Ask();
  EXPECT_TRUE(session.Settle());
  session.Close();
  EXPECT_TRUE(TryAttach("again").ok());
  EXPECT_EQ(Names(), (List{"again", "attached"}));
}

TEST_F(ProviderTest, WhatTheConfigurationNamesAlwaysGetsAPlaceBesideTheOthers) {
  options.providers = {{"x", {}}, {"y", {}}, {"z", {}}};
  StartWith(1);
  EXPECT_EQ(Names(), (List{"x", "y", "z"}));
  Client other = Attach("other");
  EXPECT_EQ(TryAttach("more").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(TryAttach("x").ok());
  options.providers.push_back({"w", {}});
  bridge->SetPolicy(options);
  EXPECT_EQ(Names(), (List{"other", "w", "x", "y", "z"}));
  EXPECT_TRUE(TryAttach("w").ok());
  // Names that have lost their rule are like others.
  options.providers.clear();
  bridge->SetPolicy(options);
  EXPECT_EQ(TryAttach("more").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Names(), List{"other"});
}

TEST_F(ProviderTest, NamesBeyondTheFirstAreCountedButNoMetrics) {
  for (const char* name : {"n0", "n1", "n2"}) ASSERT_TRUE(TryAttach(name).ok());
  Client client = Attach("n3");
  FakeSession session(*bridge, clock);
  session.Connect();
  ASSERT_FALSE(session.Ask().settled);
  client.Answer(session, 1, Decision::kKeep);
  session.Settle();
  EXPECT_EQ(Status("n3").answered, 1u);
  ExpectBalance();
  const auto shown = [this](absl::string_view name) {
    return registry->Render().find(absl::StrCat("postern_policy_questions_total{provider=\"", name,
                                                "\"")) != std::string::npos;
  };
  EXPECT_TRUE(shown("n0"));
  EXPECT_TRUE(shown("n1"));
  EXPECT_FALSE(shown("n2"));
  EXPECT_FALSE(shown("n3"));
  options.providers = {{"named", {}}};
  bridge->SetPolicy(options);
  EXPECT_TRUE(shown("named"));
}

TEST_F(ProviderTest, ANameThatWasForgottenComesBackWithoutItsCounts) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  for (std::uint32_t number = 1; number <= 2; ++number) {
    session.Ask();
    if (number == 1) client.Answer(session, number, Decision::kKeep);
    clock.Advance(absl::Milliseconds(100));
    session.Settle();
  }
  session.Close();
  EXPECT_EQ(Status("p").answered, 1u);
  EXPECT_EQ(Count(Status("p"), DefaultCause::kTimeout), 1u);
  client.session.reset();
  for (const char* name : {"a", "b"}) ASSERT_TRUE(TryAttach(name).ok());
  ASSERT_EQ(Names(), (List{"a", "b"}));
  client = Attach("p");
  const ProviderStatus fresh = Status("p");
  EXPECT_EQ(fresh.questions, 0u);
  EXPECT_EQ(fresh.answered, 0u);
  EXPECT_EQ(fresh.events, 0u);
  EXPECT_EQ(Count(fresh, DefaultCause::kTimeout), 0u);
  EXPECT_EQ(fresh.results[static_cast<std::size_t>(VerdictStatus::kApplied)], 0u);
  // What a registry counts never goes back.
  EXPECT_NE(registry->Render().find(
                "postern_policy_questions_total{provider=\"p\",mode=\"enforce\"} 2\n"),
            std::string::npos);
  FakeSession next(*bridge, clock);
  next.Connect();
  next.Ask();
  client.Answer(next, 1, Decision::kKeep);
  next.Settle();
  EXPECT_EQ(Status("p").answered, 1u);
  ExpectBalance();
}

TEST_F(ProviderTest, ANameThatMakesPlaceLeavesNoAlarmBehind) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  for (int i = 0; i < 10; ++i) {
    session.Ask();
    clock.Advance(absl::Milliseconds(100));
    session.Settle();
  }
  const std::string open = "postern_policy_breaker_state{provider=\"p\"} 1\n";
  EXPECT_EQ(Status("p").breaker, ProviderStatus::Breaker::kOpen);
  EXPECT_NE(registry->Render().find(open), std::string::npos);
  session.Close();
  client.session.reset();
  for (const char* name : {"a", "b"}) ASSERT_TRUE(TryAttach(name).ok());
  EXPECT_EQ(Names(), (List{"a", "b"}));
  EXPECT_EQ(registry->Render().find(open), std::string::npos);
}

}  // namespace
}  // namespace postern::bridge

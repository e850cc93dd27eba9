// Breaker, wait share, churn guard; the invariant under a random interleaving; many threads at
// once.
#include <random>
#include <thread>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "server/bridge/breaker.h"
#include "server/hooks/registry.h"
#include "tests/unit/bridge/fixture.h"

namespace postern::bridge {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

TEST(BreakerTest, OpensAfterTenFailuresInARowAndNotAfterNine) {
  Breaker breaker;
  for (int i = 0; i < 9; ++i) breaker.OnFailure(kStart);
  EXPECT_TRUE(breaker.Allow(kStart));
  breaker.OnSuccess(kStart);
  for (int i = 0; i < 9; ++i) breaker.OnFailure(kStart);
  EXPECT_TRUE(breaker.Allow(kStart));
  breaker.OnFailure(kStart);
  EXPECT_FALSE(breaker.Allow(kStart));
}

TEST(BreakerTest, OpensWhenHalfOfTwentyInTenSecondsFail) {
  Breaker breaker;
  for (int i = 0; i < 9; ++i) {
    breaker.OnSuccess(kStart);
    breaker.OnFailure(kStart);
  }
  breaker.OnSuccess(kStart);
  EXPECT_TRUE(breaker.Allow(kStart)) << "nineteen";
  breaker.OnFailure(kStart + absl::Seconds(1));
  EXPECT_FALSE(breaker.Allow(kStart + absl::Seconds(1)));
}

TEST(BreakerTest, FailuresOlderThanTenSecondsDoNotCount) {
  Breaker breaker;
  for (int i = 0; i < 9; ++i) breaker.OnFailure(kStart);
  breaker.OnSuccess(kStart);
  absl::Time now = kStart + absl::Seconds(11);
  for (int i = 0; i < 9; ++i) breaker.OnSuccess(now);
  breaker.OnFailure(now);
  EXPECT_TRUE(breaker.Allow(now));
}

TEST(BreakerTest, LetsOneProbeThroughAndDoublesUpToAMinute) {
  Breaker breaker;
  for (int i = 0; i < 10; ++i) breaker.OnFailure(kStart);
  absl::Time now = kStart;
  for (int seconds : {5, 10, 20, 40, 60, 60}) {
    EXPECT_FALSE(breaker.Allow(now + absl::Seconds(seconds) - absl::Milliseconds(1)));
    now += absl::Seconds(seconds);
    EXPECT_EQ(breaker.state(now), Breaker::State::kHalfOpen);
    EXPECT_TRUE(breaker.Allow(now));
    EXPECT_FALSE(breaker.Allow(now)) << "one probe at a time";
    breaker.OnFailure(now);
  }
  now += absl::Seconds(60);
  EXPECT_TRUE(breaker.Allow(now));
  breaker.OnDropped();
  EXPECT_TRUE(breaker.Allow(now)) << "a probe that came to nothing is no verdict";
  breaker.OnSuccess(now);
  EXPECT_EQ(breaker.state(now), Breaker::State::kClosed);
}

TEST(WaitShareTest, ExceedsOnlyAfterTenSecondsOfHistoryAndRecovers) {
  WaitShare share(0.1);
  absl::Time now = kStart;
  for (int i = 0; i < 9; ++i, now += absl::Seconds(1)) {
    share.Add(now, absl::Milliseconds(500), absl::Seconds(1));
    EXPECT_FALSE(share.Exceeded(now));
  }
  now += absl::Seconds(1);
  share.Add(now, absl::Milliseconds(500), absl::Seconds(1));
  EXPECT_TRUE(share.Exceeded(now));
  for (int i = 0; i < 10; ++i) {
    now += absl::Seconds(1);
    share.Add(now, absl::Milliseconds(50), absl::Seconds(1));
  }
  EXPECT_FALSE(share.Exceeded(now));
}

TEST(ChurnGuardTest, SuppressesTwentyEndsUnderFiveDeliveriesWithinAMinute) {
  ChurnGuard guard;
  for (int i = 0; i < 19; ++i) guard.Add(kStart, 1);
  EXPECT_FALSE(guard.Suppressed(kStart));
  guard.Add(kStart, 1);
  EXPECT_TRUE(guard.Suppressed(kStart));
  for (int i = 0; i < 20; ++i) guard.Add(kStart, 9);
  EXPECT_FALSE(guard.Suppressed(kStart)) << "20 x 1 and 20 x 9 average 5";
  ChurnGuard slow;
  for (int i = 0; i < 40; ++i) slow.Add(kStart + absl::Seconds(6) * i, 1);
  EXPECT_FALSE(slow.Suppressed(kStart + absl::Seconds(240)));
}

class SafetyTest : public BridgeTest {};

TEST_F(SafetyTest, AnOpenBreakerAnswersAtOnceWhileEventsFlowAndAProbeClosesIt) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  for (int i = 0; i < 10; ++i) {
    ASSERT_FALSE(session.Ask().settled);
    clock.Advance(absl::Milliseconds(100));
    session.Settle();
  }
  client.Take();
  EXPECT_TRUE(session.Ask().settled);
  EXPECT_EQ(Status("p").breaker, ProviderStatus::Breaker::kOpen);
  FakeSession(*bridge, clock).Connect(-1);
  Received received = client.Take();
  EXPECT_TRUE(received.questions.empty());
  EXPECT_EQ(received.events.size(), 1u);
  clock.Advance(absl::Seconds(5));
  ASSERT_FALSE(session.Ask().settled);
  const std::uint32_t number = client.Take().questions.at(0).number;
  EXPECT_EQ(client.Answer(session, number, Decision::kKeep).status, VerdictStatus::kApplied);
  session.Settle();
  EXPECT_EQ(Status("p").breaker, ProviderStatus::Breaker::kClosed);
  ExpectBalance();
}

TEST_F(SafetyTest, AProviderThatEatsTheSessionsTimeIsTreatedAsAsyncUntilItIsFast) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock);
  session.Connect();
  const auto round = [&](absl::Duration latency) {
    clock.Advance(absl::Milliseconds(200));
    const bool waited = !session.Ask().settled;
    clock.Advance(latency);
    const Received received = client.Take();
    if (!received.questions.empty()) {
      client.Answer(session, received.questions.back().number, Decision::kKeep);
    }
    session.Settle();
    return waited;
  };
  for (int i = 0; i < 60; ++i) round(absl::Milliseconds(80));
  EXPECT_FALSE(round(absl::Milliseconds(80)));
  EXPECT_TRUE(Status("p").ask_forced_async);
  EXPECT_EQ(Status("p").ask, AskMode::kSync);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(round(absl::Milliseconds(80))) << "still slow";
  for (int i = 0; i < 60; ++i) round(absl::Milliseconds(1));
  EXPECT_TRUE(round(absl::Milliseconds(1)));
  EXPECT_FALSE(Status("p").ask_forced_async);
  ExpectBalance();
}

TEST_F(SafetyTest, ShutdownsThatChurnConnectionsStopCounting) {
  Client client = Attach("p");
  int ended = 0;
  for (int i = 0; i < 30; ++i) {
    FakeSession session(*bridge, clock);
    session.Connect();
    session.Ask();
    client.Take();
    EXPECT_EQ(client.Answer(session, 1, Decision::kShutdown).status, VerdictStatus::kApplied);
    if (session.Settle()) ++ended;
    session.Close();
  }
  EXPECT_EQ(ended, 19);
  EXPECT_TRUE(Status("p").shutdowns_suppressed);
  FakeSession idle(*bridge, clock);
  idle.Connect();
  client.Take();
  EXPECT_EQ(client.Stand(idle, Decision::kShutdown).status, VerdictStatus::kStored);
  EXPECT_TRUE(control.requests.empty());
  clock.Advance(absl::Minutes(2));
  FakeSession later(*bridge, clock);
  later.Connect();
  later.Ask();
  client.Take();
  client.Answer(later, 1, Decision::kShutdown);
  EXPECT_TRUE(later.Settle());
  ExpectBalance();
}

TEST_F(SafetyTest, OpenQuestionsAreBoundedPerProvider) {
  Client client = Attach("p");
  std::vector<std::unique_ptr<FakeSession>> sessions;
  for (int i = 0; i < 1025; ++i) {
    sessions.push_back(std::make_unique<FakeSession>(*bridge, clock));
    EXPECT_EQ(sessions.back()->Ask().settled, i == 1024);
  }
  EXPECT_EQ(Status("p").open, 1024u);
  EXPECT_EQ(Count(Status("p"), DefaultCause::kOverload), 1u);
  const Received received = client.Take();
  EXPECT_EQ(received.questions.size(), 1024u);
  EXPECT_EQ(received.order, "qqqq");
  client.session.reset();
  for (auto& session : sessions) session->Settle();
  ExpectBalance();
}

TEST_F(SafetyTest, TheBooksBalanceUnderARandomInterleaving) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&random](std::size_t n) { return random() % n; };
    PolicyOptions options;
    options.buffer_events = 16;
    options.max_open_questions = 5;
    options.providers.push_back({"expected", {DefaultVerdict::kShutdown, {}}, absl::Seconds(1)});
    Start(options);
    std::vector<std::optional<Client>> clients(4);
    std::vector<std::unique_ptr<FakeSession>> sessions(6);
    std::vector<bool> asked(sessions.size());
    std::uint64_t wakes = 0;
    for (int step = 0; step < 3000; ++step) {
      clock.Advance(absl::Milliseconds(static_cast<int>(pick(12))));
      const std::size_t s = pick(sessions.size());
      if (!sessions[s]) {
        sessions[s] = std::make_unique<FakeSession>(*bridge, clock);
        sessions[s]->Connect();
      }
      std::optional<Client>& client = clients[pick(clients.size())];
      switch (pick(10)) {
        case 0:
          if (client) {
            client.reset();
          } else {
            AttachRequest request = Request(pick(2) == 0 ? "p" : "q");
            request.ask = static_cast<AskMode>(1 + pick(3));
            request.timeout = absl::Milliseconds(static_cast<int>(pick(150)));
            request.priority = static_cast<int>(pick(3));
            client = Attach(std::move(request));
          }
          break;
        case 1:
        case 2:
        case 3:
          if (!asked[s]) {
            asked[s] = !sessions[s]->Ask(pick(8) != 0).settled;
            if (!asked[s]) sessions[s]->Settle();
          } else if (sessions[s]->woken.load() > 0 ||
                     clock.Steady() >= sessions[s]->asked.deadline) {
            EXPECT_LE(sessions[s]->woken.load(), 1);
            wakes += static_cast<std::uint64_t>(sessions[s]->woken.load());
            sessions[s]->Settle();
            asked[s] = false;
          }
          break;
        case 4:
          if (pick(10) == 0) {
            sessions[s]->Close();
            sessions[s].reset();
            asked[s] = false;
          }
          break;
        case 5:
          if (client) client->Take();
          break;
        case 6:
          if (client) {
            client->Stand(*sessions[s], static_cast<Decision>(pick(4)), pick(5));
          }
          break;
        default:
          if (client) {
            const auto number = static_cast<std::uint32_t>(sessions[s]->attempts + 1 - pick(2));
            client->Answer(*sessions[s], number, static_cast<Decision>(pick(4)));
          }
      }
    }
    for (auto& session : sessions) {
      if (session) session->Close();
    }
    ExpectBalance();
    EXPECT_GT(Status("p").answered, 0u);
    EXPECT_GT(wakes, 0u);
    clients.clear();
  }
}

TEST_F(SafetyTest, ManyThreadsAtOnceKeepTheBooks) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  threads.reserve(6);
  std::atomic<std::uint64_t> unsettled{0};
  std::atomic<int> attached{0};  // sessions begin when both clients have been there
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([this, &unsettled, &attached, t] {
      while (attached.load() < 2) std::this_thread::yield();
      for (int i = 0; i < 150; ++i) {
        FakeSession session(*bridge, clock, absl::StrCat("d", t, ".example"));
        session.Connect();
        for (int n = 0; n < 4; ++n) {
          if (!session.Ask().settled) {
            unsettled.fetch_add(1);
            for (int spin = 0; spin < 200 && session.woken.load() == 0; ++spin) {
              std::this_thread::yield();
            }
            if (session.woken.load() == 0) clock.Advance(absl::Milliseconds(100));
          }
          if (session.Settle()) break;
        }
        session.Close();
      }
    });
  }
  for (int c = 0; c < 2; ++c) {
    threads.emplace_back([this, &stop, &attached, c] {
      for (int round = 0; !stop.load(); ++round) {
        AttachRequest request = Request(c == 0 ? "p" : "q");
        request.kinds = KindSet::All();
        auto session = *bridge->Attach(std::move(request), std::make_shared<CountingSubscriber>());
        if (round == 0) attached.fetch_add(1);
        std::uint64_t id = 0;
        for (int i = 0; i < 300 && !stop.load(); ++i) {
          const Received received = TakeAll(*session);
          std::vector<Verdict> verdicts;
          for (const Question& question : received.questions) {
            Verdict verdict;
            verdict.verdict_id = ++id;
            verdict.target = QuestionTarget{question.connection->id, question.number};
            verdict.decision = id % 5 == 0 ? Decision::kShutdown : Decision::kKeep;
            verdicts.push_back(std::move(verdict));
          }
          if (!received.positions.empty()) {
            EXPECT_TRUE(session->Acknowledge(received.positions.back()).ok());
          }
          EXPECT_TRUE(session->Verdicts(std::move(verdicts)).ok());
          std::this_thread::yield();
        }
      }
    });
  }
  threads.emplace_back([this, &stop] {
    Cursor cursor{bridge->epoch(), 0};
    while (!stop.load()) {
      WatchRequest request;
      request.kinds = KindSet::All();
      request.after = cursor;
      request.snapshot = true;
      auto watch = *bridge->Watch(std::move(request), std::make_shared<CountingSubscriber>());
      for (int i = 0; i < 20; ++i) {
        const Received received = TakeAll(*watch);
        for (const Event& event : received.events) {
          if (received.gaps.empty()) {
            EXPECT_EQ(event.sequence, cursor.sequence + 1);
          }
          cursor.sequence = event.sequence;
        }
        std::this_thread::yield();
      }
      bridge->ListProviders();
      registry->Render();
    }
  });
  for (std::size_t t = 0; t < 3; ++t) threads[t].join();
  stop.store(true);
  for (std::size_t t = 3; t < threads.size(); ++t) threads[t].join();
  EXPECT_GT(unsettled.load(), 0u);
  ExpectBalance();
}

TEST_F(SafetyTest, EverythingCountedIsAtTheRegistryByProviderAndCauseAndNeverByDomain) {
  Client client = Attach("p");
  FakeSession session(*bridge, clock, "secret.example");
  session.Connect();
  session.Ask();
  client.Take();
  clock.Advance(absl::Milliseconds(100));
  session.Settle();
  client.Answer(session, 1, Decision::kKeep);
  const std::string text = registry->Render();
  for (const char* line : {
           "postern_policy_questions_total{provider=\"p\",mode=\"enforce\"} 1\n",
           "postern_policy_verdicts_total{provider=\"p\",mode=\"enforce\",decision=\"shutdown\"} "
           "0\n",
           "postern_policy_defaults_total{provider=\"p\",mode=\"enforce\",cause=\"timeout\"} 1\n",
           "postern_policy_late_total{provider=\"p\",mode=\"enforce\"} 1\n",
           "postern_policy_duplicate_total{provider=\"p\",mode=\"enforce\"} 0\n",
           "postern_policy_stale_total{provider=\"p\",mode=\"enforce\"} 0\n",
           "postern_policy_unknown_total{provider=\"p\",mode=\"enforce\"} 0\n",
           "postern_policy_denied_total{provider=\"p\",mode=\"enforce\"} 0\n",
           "postern_policy_verdict_latency_seconds_count{provider=\"p\",mode=\"enforce\"} 0\n",
           "postern_policy_chain_wait_seconds_count 1\n",
           "postern_policy_breaker_state{provider=\"p\"} 0\n",
           "postern_policy_streams{kind=\"decide\",mode=\"enforce\",client=\"p\"} 1\n",
           "postern_events_total{kind=\"post_initiate_connection_smtp\"} 1\n",
           "postern_events_dropped_total{kind=\"decide\",mode=\"enforce\",client=\"p\"} 0\n",
           "postern_event_gaps_total{kind=\"decide\",mode=\"enforce\",client=\"p\"} 0\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
  EXPECT_EQ(text.find("secret.example"), std::string::npos);
}

TEST_F(SafetyTest, IsAProviderOfBothChains) {
  hooks::ResetHooksForTest();
  ASSERT_TRUE(bridge->RegisterProviders().ok());
  EXPECT_FALSE(bridge->RegisterProviders().ok());
  hooks::FreezeHooks();
  auto watch = *bridge->Watch({}, std::make_shared<CountingSubscriber>());
  FakeSession session(*bridge, clock);
  hooks::ConnectionAttempt attempt;
  attempt.connection = &session.info;
  hooks::DomainRecord record{};
  record.attempt = &attempt;
  timeval now{};
  call_core_post_initiate_connection_smtp_hook(&record, 0, &now, 5);
  EXPECT_EQ(std::get<PostInitiateEvent>(TakeAll(*watch).events.at(0).data->what).conn_fd, 5);
  hooks::DeliveryConstruct construct{};
  EXPECT_EQ(call_core_smtp_should_session_shutdown_hook(&construct), 0);
  construct.remote.emplace();
  EXPECT_EQ(call_core_smtp_should_session_shutdown_hook(&construct), 0);
  construct.remote->shutdown = true;
  EXPECT_NE(call_core_smtp_should_session_shutdown_hook(&construct), 0);
  hooks::ResetHooksForTest();
}

}  // namespace
}  // namespace postern::bridge

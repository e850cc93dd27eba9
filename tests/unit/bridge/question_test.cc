// Questions: who is asked, when a session waits, what ends a question, what stands in for answers.
#include "tests/unit/bridge/fixture.h"

namespace postern::bridge {
namespace {

class QuestionTest : public BridgeTest {
 protected:
  void SetUp() override {
    BridgeTest::SetUp();
    NewSession();
  }
  void NewSession() {
    session = std::make_unique<FakeSession>(*bridge, clock);
    session->Connect();
  }
  std::unique_ptr<FakeSession> session;
};

TEST_F(QuestionTest, NothingSuspendsAndNoDefaultAppliesWithNobodyAttached) {
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_FALSE(session->construct.remote.has_value());
  EXPECT_FALSE(session->Settle());
  EXPECT_TRUE(bridge->ListProviders().empty());
}

TEST_F(QuestionTest, NothingSuspendsWhenNoFilterMatches) {
  AttachRequest request = Request("p");
  request.filter.domains = {"b.example"};
  Client client = Attach(std::move(request));
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_EQ(Status("p").questions, 0u);
}

TEST_F(QuestionTest, TheAnswerWakesTheSessionOnceAndDecides) {
  Client client = Attach("p");
  const auto asked = session->Ask();
  ASSERT_FALSE(asked.settled);
  EXPECT_EQ(asked.deadline, clock.Steady() + absl::Milliseconds(100));
  clock.Advance(absl::Milliseconds(30));
  const Received received = client.Take();
  ASSERT_EQ(received.questions.size(), 1u);
  const Question& question = received.questions[0];
  EXPECT_EQ(question.connection->id, session->info.id);
  EXPECT_EQ(question.number, 1u);
  EXPECT_EQ(question.message_id, session->report.message_id);
  EXPECT_EQ(question.reply.code, 250);
  EXPECT_EQ(question.deliveries, 1u);
  EXPECT_EQ(question.time_left, absl::Milliseconds(70));
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown, "enough").status,
            VerdictStatus::kApplied);
  EXPECT_EQ(session->woken.load(), 1);
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(session->construct.remote->provider, "p");
  EXPECT_EQ(session->construct.remote->reason, "enough");
  EXPECT_EQ(session->construct.remote->cause, mail::CloseCause::kRemotePolicy);
  ExpectBalance();
}

TEST_F(QuestionTest, KeepAndAbstainKeepTheSession) {
  Client client = Attach("p");
  for (const Decision decision : {Decision::kKeep, Decision::kAbstain}) {
    session->Ask();
    client.Take();
    client.Answer(*session, session->attempts == 1 ? 1 : 2, decision);
    EXPECT_EQ(session->woken.load(), 1);
    EXPECT_FALSE(session->Settle());
  }
  EXPECT_EQ(Status("p").answered, 2u);
  ExpectBalance();
}

TEST_F(QuestionTest, AskingIsAfterFailedAttemptsToo) {
  Client client = Attach("p");
  session->Ask(true, /*delivered=*/false);
  const Received received = client.Take();
  EXPECT_EQ(received.questions.at(0).disposition, mail::Disposition::kDeferred);
  EXPECT_EQ(received.questions.at(0).reply.code, 451);
}

TEST_F(QuestionTest, TheQuestionNeverOvertakesItsConnectionsEvent) {
  Client client = Attach("p");
  for (int i = 0; i < 5; ++i) FakeSession(*bridge, clock).Connect(-1);
  NewSession();
  for (int i = 0; i < 5; ++i) FakeSession(*bridge, clock).Connect(-1);
  session->Ask();
  Received received;
  Taken taken = client.session->Take(4, 1 << 20);
  for (Frame& frame : taken.frames) received.Add(frame);
  EXPECT_TRUE(received.questions.empty()) << "its event is the sixth";
  EXPECT_TRUE(taken.more);
  taken = client.session->Take(4, 1 << 20);
  for (Frame& frame : taken.frames) received.Add(frame);
  EXPECT_EQ(received.questions.size(), 1u);
  EXPECT_EQ(received.order, "eeq");
}

TEST_F(QuestionTest, AQuestionOvertakesTheEventsOfOtherConnections) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  client.Answer(*session, 1, Decision::kKeep);
  session->Settle();
  for (int i = 0; i < 5; ++i) FakeSession(*bridge, clock).Connect(-1);
  session->Ask();
  EXPECT_EQ(client.Take().order, "qe");
}

TEST_F(QuestionTest, OnExpiryTheDefaultDecidesAndTheVerdictIsLate) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  clock.Advance(absl::Milliseconds(100));
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("p"), DefaultCause::kTimeout), 1u);
  clock.Advance(absl::Milliseconds(25));
  const VerdictResult result = client.Answer(*session, 1, Decision::kShutdown);
  EXPECT_EQ(result.status, VerdictStatus::kLate);
  EXPECT_EQ(result.late_by, absl::Milliseconds(25));
  session->Ask();
  EXPECT_FALSE(session->asked.settled) << "a default is never remembered, nor is a late answer";
  clock.Advance(absl::Milliseconds(100));
  EXPECT_FALSE(session->Settle());
  ExpectBalance();
}

TEST_F(QuestionTest, WhatHasArrivedAtTheDeadlineIsReadBeforeTheDefault) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  clock.Advance(absl::Milliseconds(101));  // over, but the session has not looked yet
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kApplied);
  EXPECT_TRUE(session->Settle());
}

TEST_F(QuestionTest, AnyShutdownWinsAndTheOthersAreCancelled) {
  Client a = Attach("a"), b = Attach("b"), c = Attach("c");
  session->Ask();
  a.Take();
  b.Take();  // c has not seen the question yet
  a.Answer(*session, 1, Decision::kKeep);
  EXPECT_EQ(session->woken.load(), 0);
  Verdict verdict;
  verdict.verdict_id = 1;
  verdict.target = QuestionTarget{session->info.id, 1};
  verdict.decision = Decision::kShutdown;
  Client d = Attach("d");
  ASSERT_TRUE(b.session->Verdicts({verdict}).ok());
  EXPECT_EQ(session->woken.load(), 1);
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(session->construct.remote->provider, "b");
  EXPECT_TRUE(c.Take().questions.empty()) << "not worth sending any more";
  EXPECT_EQ(Status("c").cancelled, 1u);
  EXPECT_EQ(c.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kLate);
  EXPECT_EQ(d.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kUnknown);
  ExpectBalance();
}

TEST_F(QuestionTest, ACancelledQuestionIsToldToTheClientThatSawIt) {
  Client a = Attach("a"), b = Attach("b");
  session->Ask();
  a.Take();
  b.Take();
  a.Answer(*session, 1, Decision::kShutdown);
  const Received received = b.Take();
  ASSERT_EQ(received.cancelled.size(), 1u);
  EXPECT_EQ(received.cancelled[0].connection_id, session->info.id);
  EXPECT_EQ(received.cancelled[0].number, 1u);
  EXPECT_EQ(received.cancelled[0].cause, CancelCause::kDecided);
}

TEST_F(QuestionTest, KeepNeedsAllToHaveAnsweredOrDefaulted) {
  Client a = Attach("a"), b = Attach("b");
  session->Ask();
  a.Take();
  a.Answer(*session, 1, Decision::kKeep);
  EXPECT_EQ(session->woken.load(), 0);
  b.session.reset();
  EXPECT_EQ(session->woken.load(), 1);
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("b"), DefaultCause::kDisconnect), 1u);
  ExpectBalance();
}

TEST_F(QuestionTest, PriorityDecidesWhoseReasonIsRecorded) {
  AttachRequest low = Request("low"), high = Request("high");
  low.priority = -5;
  high.priority = 500;
  Client a = Attach(std::move(low)), b = Attach(std::move(high));
  EXPECT_EQ(b.session->attached().priority, 100);
  EXPECT_EQ(a.Stand(*session, Decision::kShutdown, 1).status, VerdictStatus::kStored);
  EXPECT_EQ(b.Stand(*session, Decision::kShutdown, 1).status, VerdictStatus::kStored);
  session->Ask();
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(session->construct.remote->provider, "high");
}

TEST_F(QuestionTest, AProvidersOwnTimeoutCanOnlyShorten) {
  AttachRequest request = Request("p");
  request.timeout = absl::Seconds(3);
  EXPECT_EQ(Attach(request).session->attached().timeout, absl::Milliseconds(100));
  request.timeout = absl::Microseconds(1);
  EXPECT_EQ(Attach(request).session->attached().timeout, absl::Milliseconds(1));
}

TEST_F(QuestionTest, AVerdictAfterTheProvidersOwnDeadlineIsLateWhileOthersAreWaitedFor) {
  AttachRequest quick = Request("quick");
  quick.timeout = absl::Milliseconds(10);
  Client a = Attach(std::move(quick)), b = Attach("b");
  const auto asked = session->Ask();
  EXPECT_EQ(asked.deadline, clock.Steady() + absl::Milliseconds(100));
  a.Take();
  b.Take();
  clock.Advance(absl::Milliseconds(15));
  const VerdictResult late = a.Answer(*session, 1, Decision::kShutdown);
  EXPECT_EQ(late.status, VerdictStatus::kLate);
  b.Answer(*session, 1, Decision::kKeep);
  EXPECT_EQ(session->woken.load(), 1);
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("quick"), DefaultCause::kTimeout), 1u);
  ExpectBalance();
}

TEST_F(QuestionTest, NobodyIsWaitedForWhenTheSessionIsEndingAnyway) {
  Client client = Attach("p");
  EXPECT_TRUE(session->Ask(/*wait_allowed=*/false).settled);
  EXPECT_TRUE(client.Take().questions.empty());
  EXPECT_EQ(Status("p").cancelled, 1u);
  ExpectBalance();
}

TEST_F(QuestionTest, AClosedConnectionCancelsItsQuestion) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  session->Close();
  EXPECT_EQ(session->woken.load(), 0);
  EXPECT_EQ(client.Take().cancelled.at(0).cause, CancelCause::kSessionEnded);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kUnknown);
  ExpectBalance();
}

TEST_F(QuestionTest, AQuestionSettledBeforeItsTimeIsCancelledNotTimedOut) {
  Client client = Attach("p");
  session->Ask();
  session->Settle();  // the session was cut
  EXPECT_EQ(Status("p").cancelled, 1u);
  EXPECT_EQ(Count(Status("p"), DefaultCause::kTimeout), 0u);
}

TEST_F(QuestionTest, AReplicaThatGoesLeavesItsQuestionToTheDefaultAndTheRestToTheOther) {
  Client a = Attach("p"), b = Attach("p");
  session->Ask();
  Received of_a = a.Take(), of_b = b.Take();
  ASSERT_EQ(of_a.questions.size() + of_b.questions.size(), 1u) << "one replica is asked";
  Client& owner = of_a.questions.empty() ? b : a;
  Client& other = of_a.questions.empty() ? a : b;
  EXPECT_EQ(other.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kStale);
  EXPECT_EQ(other.Stand(*session, Decision::kShutdown).status, VerdictStatus::kStale);
  owner.session->Detach("bye");
  EXPECT_EQ(session->woken.load(), 1);
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("p"), DefaultCause::kDisconnect), 1u);
  EXPECT_EQ(owner.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kStale);
  session->Ask();
  EXPECT_EQ(other.Take().questions.at(0).number, 2u);
  EXPECT_EQ(other.Answer(*session, 2, Decision::kKeep).status, VerdictStatus::kApplied);
  session->Settle();
  ExpectBalance();
}

TEST_F(QuestionTest, AConnectionSticksToOneReplicaAndReplicasShareTheConnections) {
  Client a = Attach("p"), b = Attach("p");
  std::size_t of_a = 0, of_b = 0;
  for (int i = 0; i < 40; ++i) {
    NewSession();
    const std::size_t events_a = a.Take().events.size();
    for (int n = 0; n < 3; ++n) {
      session->Ask();
      const std::size_t asked_a = a.Take().questions.size();
      EXPECT_EQ(asked_a, events_a);
      EXPECT_EQ(b.Take().questions.size(), 1 - asked_a);
      (asked_a > 0 ? a : b)
          .Answer(*session, static_cast<std::uint32_t>(session->attempts), Decision::kKeep);
      session->Settle();
    }
    (events_a > 0 ? of_a : of_b) += 1;
  }
  EXPECT_GT(of_a, 5u);
  EXPECT_GT(of_b, 5u);
}

TEST_F(QuestionTest, TheVerdictEventSaysWhoDecidedAndAfterHowLong) {
  AttachRequest request = Request("p");
  request.kinds = KindSet().With(EventKind::kVerdict);
  Client client = Attach(std::move(request));
  session->Ask();
  clock.Advance(absl::Milliseconds(20));
  client.Take();
  client.Answer(*session, 1, Decision::kShutdown, "why");
  session->Settle();
  auto event = std::get<VerdictEvent>(client.Take().events.at(0).data->what);
  EXPECT_EQ(event.decision, Decision::kShutdown);
  EXPECT_EQ(event.source, DecisionSource::kAnswer);
  EXPECT_EQ(event.provider, "p");
  EXPECT_EQ(event.reason, "why");
  EXPECT_EQ(event.waited, absl::Milliseconds(20));
  EXPECT_EQ(event.number, 1u);
  EXPECT_EQ(event.message_id, session->report.message_id);
  session->Ask();
  clock.Advance(absl::Milliseconds(100));
  session->Settle();
  event = std::get<VerdictEvent>(client.Take().events.at(0).data->what);
  EXPECT_EQ(event.source, DecisionSource::kDefault);
  EXPECT_EQ(event.default_cause, DefaultCause::kTimeout);
}

// ---- defaults: every cause, both ways ----

class DefaultCauseTest : public BridgeTest, public testing::WithParamInterface<int> {
 protected:
  // Brings the cause about and returns whether the session was shut down.
  bool Provoke(DefaultCause cause) {
    AttachRequest request = Request("p");
    if (cause == DefaultCause::kNoVerdict) request.ask = AskMode::kStanding;
    std::optional<Client> client;
    if (cause != DefaultCause::kNoSubscriber) client = Attach(std::move(request));
    FakeSession session(*bridge, clock);
    session.Connect();
    switch (cause) {
      case DefaultCause::kTimeout:
        session.Ask();
        clock.Advance(absl::Milliseconds(100));
        break;
      case DefaultCause::kNoSubscriber:
      case DefaultCause::kNoVerdict:
        EXPECT_TRUE(session.Ask().settled);
        break;
      case DefaultCause::kDisconnect:
        session.Ask();
        client->Take();
        client->session.reset();
        break;
      case DefaultCause::kOverload: {
        FakeSession first(*bridge, clock);
        first.Ask();
        EXPECT_TRUE(session.Ask().settled);
        first.Close();
        break;
      }
      case DefaultCause::kBreakerOpen:
        for (int i = 0; i < 10; ++i) {
          FakeSession unanswered(*bridge, clock);
          unanswered.Ask();
          clock.Advance(absl::Milliseconds(100));
          unanswered.Settle();
        }
        EXPECT_TRUE(session.Ask().settled);
        break;
      case DefaultCause::kInvalid:
        session.Ask();
        client->Take();
        EXPECT_EQ(client->Answer(session, 1, Decision::kUnspecified).status,
                  VerdictStatus::kDenied);
        EXPECT_EQ(session.woken.load(), 1);
        break;
      case DefaultCause::kSwitchedOff:
      case DefaultCause::kForcedKeep:
        ADD_FAILURE() << "the switch is not a client's doing";
        break;
    }
    const bool shutdown = session.Settle();
    EXPECT_GE(Count(Status("p"), cause), 1u) << Name(cause);
    ExpectBalance();
    return shutdown;
  }
  PolicyOptions With(DefaultCause cause, DefaultVerdict verdict) {
    PolicyOptions options;
    options.max_open_questions = 1;
    options.providers.push_back({"p", {}, absl::InfiniteDuration()});
    options.providers[0].rule.by_cause[static_cast<std::size_t>(cause)] = verdict;
    return options;
  }
};

TEST_P(DefaultCauseTest, DecidesBothWays) {
  const auto cause = static_cast<DefaultCause>(GetParam());
  Start(With(cause, DefaultVerdict::kKeep));
  EXPECT_FALSE(Provoke(cause));
  Start(With(cause, DefaultVerdict::kShutdown));
  EXPECT_TRUE(Provoke(cause));
}

INSTANTIATE_TEST_SUITE_P(EveryCause, DefaultCauseTest,
                         testing::Range(1, static_cast<int>(DefaultCause::kInvalid) + 1),
                         [](const auto& param) {
                           return std::string(Name(static_cast<DefaultCause>(param.param)));
                         });

TEST(DefaultTableTest, DomainGoesBeforeProviderBeforeAttachBeforeGlobal) {
  PolicyOptions options;
  const auto keep = DefaultVerdict::kKeep, shut = DefaultVerdict::kShutdown;
  const auto cause = DefaultCause::kTimeout;
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", {}, cause), keep) << "built in";
  options.defaults.verdict = shut;
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", {}, cause), shut);
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", keep, cause), keep);
  options.providers.push_back({"p", {shut, {}}, absl::InfiniteDuration()});
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", keep, cause), shut);
  options.domains.push_back({"*.example", {keep, {}}});
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", shut, cause), keep);
  options.domains.push_back({"a.example", {shut, {}}});
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", keep, cause), shut) << "most specific";
  options.domains[1].rule.by_cause[static_cast<std::size_t>(cause)] = keep;
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", shut, cause), keep) << "by cause";
  EXPECT_EQ(DefaultTable(options).For("a.example", "p", keep, DefaultCause::kOverload), shut);
}

TEST_F(QuestionTest, WhatAttachAskedForStandsInWhereNoRuleSaysOtherwise) {
  AttachRequest request = Request("p");
  request.default_verdict = DefaultVerdict::kShutdown;
  Client client = Attach(std::move(request));
  EXPECT_EQ(client.session->attached().default_verdict, DefaultVerdict::kShutdown);
  session->Ask();
  clock.Advance(absl::Milliseconds(100));
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(session->construct.remote->reason, "default: timeout");
}

TEST_F(QuestionTest, AnExpectedProviderThatIsAttachedElsewhereHasNoDefaultHere) {
  PolicyOptions options;
  options.providers.push_back({"p", {DefaultVerdict::kShutdown, {}}, absl::InfiniteDuration()});
  Start(options);
  NewSession();
  AttachRequest request = Request("p");
  request.filter.domains = {"b.example"};
  Client client = Attach(std::move(request));
  session->Ask();
  EXPECT_FALSE(session->Settle());
  client.session.reset();
  session->Ask();
  EXPECT_TRUE(session->Settle());
}

}  // namespace
}  // namespace postern::bridge

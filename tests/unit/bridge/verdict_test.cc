// Verdicts: results, standing verdicts, verdicts ahead of the question, acknowledgement.
#include "tests/unit/bridge/fixture.h"
#include "tests/unit/rpc/log_lines.h"

namespace postern::bridge {
namespace {

class VerdictTest : public BridgeTest {
 protected:
  void SetUp() override {
    BridgeTest::SetUp();
    session = std::make_unique<FakeSession>(*bridge, clock);
    session->Connect();
  }
  std::unique_ptr<FakeSession> session;
};

TEST_F(VerdictTest, AVerdictForAnUnknownConnectionOrQuestionIsUnknown) {
  Client client = Attach("p");
  FakeSession never(*bridge, clock);
  EXPECT_EQ(client.Answer(never, 1, Decision::kKeep).status, VerdictStatus::kUnknown);
  EXPECT_EQ(client.Stand(never, Decision::kKeep).status, VerdictStatus::kUnknown);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kUnknown);
  session->Ask();
  EXPECT_EQ(client.Answer(*session, 2, Decision::kKeep).status, VerdictStatus::kUnknown);
  EXPECT_EQ(client.Answer(*session, 0, Decision::kKeep).status, VerdictStatus::kUnknown);
  EXPECT_EQ(Status("p").results[static_cast<std::size_t>(VerdictStatus::kUnknown)], 5u);
}

TEST_F(VerdictTest, ASecondAnswerOrAReusedIdIsDuplicate) {
  Client client = Attach("p"), other = Attach("q");
  session->Ask();
  client.Take();
  EXPECT_EQ(client.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kApplied);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kDuplicate);
  Verdict again;
  again.verdict_id = 1;
  again.target = QuestionTarget{session->info.id, 1};
  again.decision = Decision::kShutdown;
  EXPECT_EQ(client.Send(again).status, VerdictStatus::kDuplicate);
  EXPECT_EQ(other.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kApplied)
      << "ids are the stream's own";
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kDuplicate);
  ExpectBalance();
}

TEST_F(VerdictTest, AnAnswerToAnOlderQuestionIsLateSinceThatQuestionClosed) {
  Client client = Attach("p");
  for (int i = 0; i < 3; ++i) {
    session->Ask();
    clock.Advance(absl::Milliseconds(100));
    session->Settle();
  }
  const VerdictResult result = client.Answer(*session, 1, Decision::kShutdown);
  EXPECT_EQ(result.status, VerdictStatus::kLate);
  EXPECT_EQ(result.late_by, absl::Milliseconds(200));
}

TEST_F(VerdictTest, WhatRpcFoundInvalidIsDeniedWithItsDetailAndSpendsTheQuestion) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  Verdict verdict;
  verdict.target = QuestionTarget{session->info.id, 1};
  verdict.decision = Decision::kShutdown;
  verdict.denied = "then.action: HOLD is not served";
  const VerdictResult result = client.Send(verdict);
  EXPECT_EQ(result.status, VerdictStatus::kDenied);
  EXPECT_EQ(result.detail, verdict.denied);
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("p"), DefaultCause::kInvalid), 1u);
  verdict.target = std::monostate();
  verdict.denied.clear();
  EXPECT_EQ(client.Send(verdict).status, VerdictStatus::kDenied);
}

TEST_F(VerdictTest, AShutdownForAnIdleConnectionIsAskedOfItsSessionAtOnce) {
  Client client = Attach("p");
  EXPECT_EQ(client.Stand(*session, Decision::kShutdown).status, VerdictStatus::kApplied);
  ASSERT_EQ(control.requests.size(), 1u);
  EXPECT_EQ(control.requests[0].first, session->info.id);
  EXPECT_TRUE(control.requests[0].second.shutdown);
  EXPECT_EQ(control.requests[0].second.provider, "p");
  EXPECT_EQ(control.requests[0].second.reason, "standing");
  // The session was in a transaction: the chain says so, too.
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_TRUE(session->Settle());
  ExpectBalance();
}

TEST_F(VerdictTest, AfterDeliveriesCostsNoWaitAndCountsOnlyDeliveries) {
  Client client = Attach("p");
  EXPECT_EQ(client.Stand(*session, Decision::kShutdown, 2).status, VerdictStatus::kStored);
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_FALSE(session->Settle());
  EXPECT_TRUE(session->Ask(true, /*delivered=*/false).settled);
  EXPECT_FALSE(session->Settle());
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_TRUE(session->Settle());
  EXPECT_TRUE(client.Take().questions.empty());
  EXPECT_TRUE(control.requests.empty());
  EXPECT_EQ(Status("p").answered, 3u);
}

TEST_F(VerdictTest, AfterAgeShutsDownTheFirstTransactionThatEndsBehindIt) {
  Client client = Attach("p");
  client.Stand(*session, Decision::kShutdown, 0, absl::Seconds(10));
  session->Ask();
  EXPECT_FALSE(session->Settle());
  clock.Advance(absl::Seconds(10));
  session->Ask();
  EXPECT_TRUE(session->Settle());
}

TEST_F(VerdictTest, StandingKeepIsNotAskedAgainUntilWithdrawn) {
  Client client = Attach("p");
  EXPECT_EQ(client.Stand(*session, Decision::kKeep).status, VerdictStatus::kStored);
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(client.Stand(*session, Decision::kAbstain).status, VerdictStatus::kStored);
  EXPECT_FALSE(session->Ask().settled);
}

TEST_F(VerdictTest, AStandingVerdictAnswersTheQuestionThatIsOpen) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  Verdict verdict;
  verdict.verdict_id = 1;
  verdict.target = ConnectionTarget{session->info.id, 0, absl::InfiniteDuration()};
  verdict.decision = Decision::kShutdown;
  ASSERT_TRUE(client.session->Verdicts({verdict}).ok());
  const Received received = client.Take();
  EXPECT_EQ(received.results.at(0).status, VerdictStatus::kApplied);
  EXPECT_EQ(received.cancelled.at(0).cause, CancelCause::kStanding);
  EXPECT_EQ(session->woken.load(), 1);
  EXPECT_TRUE(session->Settle());
  EXPECT_TRUE(control.requests.empty()) << "the question was the way";
  ExpectBalance();
}

TEST_F(VerdictTest, AConnectionVerdictAfterATimeoutHoldsFromTheNextQuestionOn) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  clock.Advance(absl::Milliseconds(100));
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(client.Stand(*session, Decision::kShutdown, 2).status, VerdictStatus::kStored);
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_TRUE(session->Settle());
}

TEST_F(VerdictTest, AStandingVerdictOutlivesItsClientUntilTheConnectionEnds) {
  Client client = Attach("p");
  client.Stand(*session, Decision::kShutdown, 1);
  client.session.reset();
  session->Ask();
  EXPECT_TRUE(session->Settle());
}

TEST_F(VerdictTest, AConnectionOutsideTheFilterIsDenied) {
  AttachRequest request = Request("p");
  request.filter.domains = {"b.example"};
  Client client = Attach(std::move(request));
  EXPECT_EQ(client.Stand(*session, Decision::kShutdown).status, VerdictStatus::kDenied);
  EXPECT_TRUE(control.requests.empty());
}

TEST_F(VerdictTest, AsyncGoesOnAndTheAnswerHoldsFromTheNextBoundary) {
  AttachRequest request = Request("p");
  request.ask = AskMode::kAsync;
  Client client = Attach(std::move(request));
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("p"), DefaultCause::kNoVerdict), 1u);
  EXPECT_EQ(client.Take().questions.at(0).number, 1u);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kStored);
  EXPECT_EQ(client.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kDuplicate);
  EXPECT_EQ(control.requests.size(), 1u) << "an idle session need not wait for a transaction";
  EXPECT_TRUE(session->Ask().settled);
  EXPECT_TRUE(session->Settle());
  session->Ask();
  EXPECT_FALSE(session->Settle()) << "an answer is used once";
  ExpectBalance();
}

TEST_F(VerdictTest, ReasonsAreCutAt256Bytes) {
  Client client = Attach("p");
  session->Ask();
  client.Take();
  client.Answer(*session, 1, Decision::kShutdown, std::string(300, 'x'));
  session->Settle();
  EXPECT_EQ(session->construct.remote->reason.size(), 256u);
}

TEST_F(VerdictTest, AClientThatDoesNotReadItsResultsIsRefused) {
  Client client = Attach("p");
  Verdict verdict;
  std::vector<Verdict> many(8192, verdict);
  EXPECT_TRUE(client.session->Verdicts(many).ok());
  EXPECT_EQ(client.session->Verdicts({verdict}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(client.Take().results.size(), 8192u);
  EXPECT_TRUE(client.session->Verdicts({verdict}).ok());
}

TEST_F(VerdictTest, AFrameMayHoldMoreVerdictsThanResultsMayWait) {
  Client client = Attach("p");
  EXPECT_TRUE(client.session->Verdicts(std::vector<Verdict>(10'000)).ok());
  EXPECT_EQ(client.Take().results.size(), 10'000u);
}

TEST_F(VerdictTest, AttachChecksNamesGlobsAndLimits) {
  const auto subscriber = std::make_shared<CountingSubscriber>();
  for (const char* name : {"", "Upper", "sp ace"}) {
    EXPECT_EQ(bridge->Attach(Request(name), subscriber).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(bridge->Attach(Request(std::string(65, 'a')), subscriber).ok());
  PolicyOptions options;
  options.max_streams_per_provider = 1;
  options.max_providers = 2;
  Start(options);
  Client p = Attach("p"), q = Attach("q");
  EXPECT_EQ(bridge->Attach(Request("p"), subscriber).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(bridge->Attach(Request("r"), subscriber).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(VerdictTest, TheReasonOfADetachIsCutInTheLogAndSplitsNoCharacter) {
  Client client = Attach("p");
  const rpc::LogLines log;
  // 255 bytes, then a character of two.
  client.session->Detach(std::string(255, 'x') + "\xC3\xA9" + std::string(100'000, 'y'));
  const std::vector<std::string> lines = log.With("detached: ");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].substr(lines[0].find(": x") + 2), std::string(255, 'x'));
}

// ---- acknowledgement ----

class AcknowledgeTest : public VerdictTest {
 protected:
  void SetUp() override {
    PolicyOptions options;
    options.buffer_events = 3;
    Start(options);
    session = std::make_unique<FakeSession>(*bridge, clock);
    session->Connect();
  }
};

TEST_F(AcknowledgeTest, TakenEventsCountUntilTheyAreAcknowledged) {
  Client client = Attach("p");
  for (int i = 0; i < 3; ++i) FakeSession(*bridge, clock).Connect(-1);
  EXPECT_EQ(client.Take().events.size(), 3u);
  FakeSession(*bridge, clock).Connect(-1);
  Received received = client.Take();
  EXPECT_TRUE(received.events.empty());
  EXPECT_EQ(received.gaps.at(0).lost, 1u);
  session->Ask();
  EXPECT_FALSE(session->Settle());
  EXPECT_EQ(Count(Status("p"), DefaultCause::kOverload), 1u) << "who does not read is not asked";
  EXPECT_TRUE(client.session->Acknowledge(2).ok());
  FakeSession(*bridge, clock).Connect(-1);
  received = client.Take();
  EXPECT_EQ(received.positions, (std::vector<std::uint64_t>{4}));
  EXPECT_FALSE(session->Ask().settled);
}

TEST_F(AcknowledgeTest, AnAnswerAcknowledgesWhatCameBeforeItsQuestion) {
  Client client = Attach("p");
  for (int i = 0; i < 2; ++i) FakeSession(*bridge, clock).Connect(-1);
  client.Take();
  session->Ask();
  client.Take();
  client.Answer(*session, 1, Decision::kKeep);
  session->Settle();
  for (int i = 0; i < 3; ++i) FakeSession(*bridge, clock).Connect(-1);
  EXPECT_EQ(client.Take().events.size(), 3u);
}

TEST_F(AcknowledgeTest, MustNotGoBackNorAhead) {
  Client client = Attach("p");
  for (int i = 0; i < 3; ++i) FakeSession(*bridge, clock).Connect(-1);
  client.Take();
  EXPECT_EQ(client.session->Acknowledge(4).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(client.session->Acknowledge(2).ok());
  EXPECT_TRUE(client.session->Acknowledge(2).ok());
  EXPECT_EQ(client.session->Acknowledge(1).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace postern::bridge

#include <set>
#include <thread>

#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;

class OutcomesTest : public RpcTest {
 protected:
  // A stream and what it says.
  struct Client {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::OutcomesRequest, v1::OutcomesResponse>> stream;
    v1::OutcomesResponse frame;

    bool Read() { return stream->Read(&frame); }
    void Acknowledge(const std::string& cursor) {
      v1::OutcomesRequest request;
      request.mutable_acknowledge()->set_cursor(cursor);
      stream->Write(request);
    }
    // The rest, and how it ended.
    grpc::Status End() {
      stream->WritesDone();
      while (Read()) continue;
      return stream->Finish();
    }
  };

  Client Open(const v1::OutcomesStart& start) {
    Client client{Context(), nullptr, {}};
    client.stream = delivery_stub->Outcomes(client.context.get());
    v1::OutcomesRequest request;
    *request.mutable_start() = start;
    client.stream->Write(request);
    return client;
  }
  // A call that says nothing.
  Client OpenSilent() {
    Client client{Context(), nullptr, {}};
    client.stream = delivery_stub->Outcomes(client.context.get());
    return client;
  }
  // Waits until the server has so many of them.
  void AwaitCalls(double n) {
    base::Gauge& calls =
        registry.AddGauge("postern_rpc_in_flight", "", {{"method", "Delivery.Outcomes"}});
    while (static_cast<double>(calls.value()) < n) std::this_thread::yield();
  }
  static v1::OutcomesStart Consumer(const std::string& name) {
    v1::OutcomesStart start;
    start.set_consumer(name);
    return start;
  }
  void Record(int recipients, mail::Disposition disposition = mail::Disposition::kDelivered,
              const std::string& domain = "b.example") {
    mail::Row row;
    row.message_id = base::NewId(absl::Now());
    row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{domain, "default"});
    row.token = "t";
    row.attempts = 3;
    const auto reply = std::make_shared<const mail::Reply>(
        mail::Reply{250, "2.0.0", "ok\xff", mail::SmtpStage::kBody});
    for (int i = 0; i < recipients; ++i) {
      row.recipients.push_back({absl::StrCat("r", i, "@", domain), disposition, reply});
    }
    outcomes.Record(std::move(row));
  }
};

TEST_F(OutcomesTest, SendsWhatIsThereAndWhatComes) {
  Start();
  Record(1);
  Client client = Open(Consumer("books"));
  ASSERT_TRUE(client.Read());
  ASSERT_EQ(client.frame.outcomes().outcomes_size(), 1);
  const v1::Outcome first = client.frame.outcomes().outcomes(0);
  EXPECT_EQ(first.recipient(), "r0@b.example");
  EXPECT_EQ(first.domain(), "b.example");
  EXPECT_EQ(first.binding().name(), "default");
  EXPECT_EQ(first.disposition(), v1::DISPOSITION_DELIVERED);
  EXPECT_EQ(first.reply().code(), 250);
  EXPECT_EQ(first.reply().text(), "ok?");
  EXPECT_EQ(first.attempts(), 3U);
  EXPECT_EQ(first.token(), "t");
  EXPECT_EQ(client.frame.outcomes().cursor(), "0000000000005eed-1");
  Record(2);
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().outcomes_size(), 2);
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, GoesOnBehindWhatWasAcknowledged) {
  Start();
  Record(1);
  Client client = Open(Consumer("books"));
  EXPECT_EQ(outcomes.ConsumerCursor("books").value_or(0), 0U);
  ASSERT_TRUE(client.Read());
  client.Acknowledge(client.frame.outcomes().cursor());
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(outcomes.ConsumerCursor("books"), 1U);
  Record(1);
  Client again = Open(Consumer("books"));
  ASSERT_TRUE(again.Read());
  EXPECT_EQ(again.frame.outcomes().cursor(), "0000000000005eed-2");
  ASSERT_EQ(again.frame.outcomes().outcomes_size(), 1);
  EXPECT_TRUE(again.End().ok());
  v1::OutcomesStart from = Consumer("books");
  from.set_after_cursor("0000000000005eed-0");
  Client all = Open(from);
  ASSERT_TRUE(all.Read());
  EXPECT_EQ(all.frame.outcomes().outcomes_size(), 2);
  EXPECT_TRUE(all.End().ok());
  EXPECT_EQ(outcomes.ConsumerCursor("books"), 1U);
}

TEST_F(OutcomesTest, ALargeRecordIsCutIntoFramesThatCanBeResumed) {
  limits.outcome_frame_outcomes = 4;
  Start();
  Record(10);
  Client client = Open({});
  std::vector<int> sizes;
  std::vector<std::string> cursors;
  while (sizes.size() < 3 && client.Read()) {
    sizes.push_back(client.frame.outcomes().outcomes_size());
    cursors.push_back(client.frame.outcomes().cursor());
  }
  EXPECT_EQ(sizes, (std::vector<int>{4, 4, 2}));
  EXPECT_TRUE(client.End().ok());
  v1::OutcomesStart from;
  from.set_after_cursor(cursors[0]);
  Client rest = Open(from);
  ASSERT_TRUE(rest.Read());
  EXPECT_EQ(rest.frame.outcomes().outcomes(0).recipient(), "r4@b.example");
  EXPECT_TRUE(rest.End().ok());
}

TEST_F(OutcomesTest, LeavesOutWhatIsNotWanted) {
  Start();
  Record(1, mail::Disposition::kDeferred);
  Record(1, mail::Disposition::kFailed, "c.example");
  Record(1, mail::Disposition::kExpired);
  v1::OutcomesStart start;
  start.set_final_only(true);
  start.mutable_filter()->add_domains("b.example");
  Client client = Open(start);
  ASSERT_TRUE(client.Read());
  ASSERT_EQ(client.frame.outcomes().outcomes_size(), 1);
  EXPECT_EQ(client.frame.outcomes().outcomes(0).disposition(), v1::DISPOSITION_EXPIRED);
  EXPECT_EQ(client.frame.outcomes().cursor(), "0000000000005eed-3");
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, ALossIsAGapWithItsNumber) {
  Start();
  for (int i = 0; i < 5; ++i) Record(1);
  ASSERT_TRUE(outcomes.SetConsumerCursor("books", 1).ok());
  outcomes.DropBelow(4);
  Client client = Open(Consumer("books"));
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.gap().lost(), 2U);
  EXPECT_EQ(client.frame.gap().cause(), v1::OUTCOMES_GAP_CAUSE_RETENTION);
  EXPECT_EQ(client.frame.gap().cursor(), "0000000000005eed-3");
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().outcomes_size(), 2);
  EXPECT_TRUE(client.End().ok());
  // A new consumer has lost nothing.
  Client fresh = Open(Consumer("new"));
  ASSERT_TRUE(fresh.Read());
  EXPECT_TRUE(fresh.frame.has_outcomes());
  EXPECT_TRUE(fresh.End().ok());
}

TEST_F(OutcomesTest, WhatIsDroppedBeforeItIsReadIsAGapToo) {
  Start();
  for (int i = 0; i < 5; ++i) Record(1);
  outcomes.DropAtRead(4);
  Client client = Open({});
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.gap().lost(), 3U);
  EXPECT_EQ(client.frame.gap().cause(), v1::OUTCOMES_GAP_CAUSE_RETENTION);
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().outcomes_size(), 2);
  EXPECT_TRUE(client.End().ok());

  outcomes.DropAtRead(6);  // nothing is left
  Client none = Open({});
  ASSERT_TRUE(none.Read());
  EXPECT_EQ(none.frame.gap().lost(), 2U);
  EXPECT_EQ(none.frame.gap().cursor(), "0000000000005eed-5");
  EXPECT_TRUE(none.End().ok());
}

TEST_F(OutcomesTest, WhatCannotBeReadIsAGapInItsPlace) {
  Start();
  Record(1);
  Record(3);
  Record(1);
  Record(2);
  outcomes.Damage(2);
  outcomes.Damage(6);
  Client client = Open({});
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().cursor(), "0000000000005eed-1");
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.gap().lost(), 3U);
  EXPECT_EQ(client.frame.gap().cause(), v1::OUTCOMES_GAP_CAUSE_DAMAGED);
  EXPECT_EQ(client.frame.gap().cursor(), "0000000000005eed-4");
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().cursor(), "0000000000005eed-5");
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.gap().lost(), 2U);
  EXPECT_EQ(client.frame.gap().cursor(), "0000000000005eed-7");
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, AClientThatDoesNotReadCannotKeepItsStreamByThat) {
  limits.outcome_streams = 1;
  limits.failure_grace = absl::Milliseconds(50);
  limits.outcome_frame_outcomes = 20'000;
  limits.outcome_frame_bytes = std::size_t{64} << 20;
  Start();
  Record(20'000);  // one frame, of more than the flow control lets go
  Client stuck = Open({});
  while (outcomes.reads() == 0) std::this_thread::yield();
  v1::OutcomesRequest again;
  again.mutable_start();
  stuck.stream->Write(again);
  for (bool free = false; !free;) {
    Client next = Open({});
    free = next.Read();
    next.context->TryCancel();
    next.End();
  }
  EXPECT_FALSE(stuck.End().ok());
}

TEST_F(OutcomesTest, ACursorOfAnotherSpoolBeginsWithTheOldest) {
  Start();
  Record(1);
  v1::OutcomesStart start;
  start.set_after_cursor("00000000deadbeef-900");
  Client client = Open(start);
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.gap().cause(), v1::OUTCOMES_GAP_CAUSE_OTHER_SPOOL);
  EXPECT_EQ(client.frame.gap().lost(), 0U);
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().outcomes_size(), 1);
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, ACursorAheadOfTheSpoolBeginsWithTheOldest) {
  Start();
  Record(1);
  v1::OutcomesStart start = Consumer("books");
  start.set_after_cursor("0000000000005eed-2");
  Client client = Open(start);
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.gap().cause(), v1::OUTCOMES_GAP_CAUSE_OTHER_SPOOL);
  EXPECT_EQ(client.frame.gap().cursor(), "0000000000005eed-0");
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().outcomes_size(), 1);
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, AnAcknowledgementThatSaysNothingNewAsksForNothing) {
  Start();
  Record(1);
  Record(1);
  Client client = Open(Consumer("books"));
  ASSERT_TRUE(client.Read());
  const std::string first = "0000000000005eed-1";
  for (int i = 0; i < 20; ++i) client.Acknowledge(first);
  client.Acknowledge("0000000000005eed-2");
  for (int i = 0; i < 20; ++i) client.Acknowledge(first);
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(outcomes.ConsumerCursor("books"), 2U);
  EXPECT_EQ(outcomes.asks(), 3U);  // the name, and two cursors
}

TEST_F(OutcomesTest, AReplayOfWhatIsNotWantedHasHeartbeats) {
  limits.heartbeat = absl::Nanoseconds(1);
  limits.outcome_frame_outcomes = 1;  // a piece each
  Start();
  for (int i = 0; i < 3; ++i) Record(1, mail::Disposition::kDelivered, "c.example");
  v1::OutcomesStart start;
  start.mutable_filter()->add_domains("b.example");
  Client client = Open(start);
  std::set<std::string> cursors;
  while (cursors.count("0000000000005eed-3") == 0 && client.Read()) {
    cursors.insert(client.frame.heartbeat().head_cursor());
  }
  EXPECT_EQ(cursors.count("0000000000005eed-1"), 1U);
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, ASpoolThatCannotBeReadIsWaitedFor) {
  Start();
  Record(1);
  outcomes.FailReads(absl::UnavailableError("being opened again"));
  Client client = Open({});
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.frame.outcomes().outcomes_size(), 1);
  EXPECT_EQ(outcomes.reads(), 2U);
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, AnIdleStreamHasAHeartbeat) {
  limits.heartbeat = absl::Milliseconds(50);
  Start();
  Record(1, mail::Disposition::kDelivered, "c.example");
  v1::OutcomesStart start = Consumer("books");
  start.mutable_filter()->add_domains("b.example");
  Client client = Open(start);
  do {
    ASSERT_TRUE(client.Read());
  } while (client.frame.heartbeat().head_cursor() != "0000000000005eed-1");
  client.Acknowledge(client.frame.heartbeat().head_cursor());
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(outcomes.ConsumerCursor("books"), 1U);
}

TEST_F(OutcomesTest, TheLaterOfTwoStreamsHasTheConsumer) {
  Start();
  Record(1);
  Client first = Open(Consumer("books"));
  ASSERT_TRUE(first.Read());
  Client second = Open(Consumer("books"));
  ASSERT_TRUE(second.Read());
  EXPECT_EQ(first.End().error_code(), StatusCode::ABORTED);
  EXPECT_TRUE(second.End().ok());
}

TEST_F(OutcomesTest, WhatMakesNoSenseIsRefusedByName) {
  limits.outcome_streams = 2;
  Start();
  Record(1);
  const auto ends = [&](const v1::OutcomesStart& start) { return Open(start).End(); };
  EXPECT_EQ(ends(Consumer(std::string(65, 'x'))).error_message(),
            "start.consumer: more than 64 bytes");
  EXPECT_EQ(ends(Consumer("one too many")).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  for (const char* cursor :
       {"x", "0000000000005eed-", "0000000000005eeg-0", "0000000000005eed-01", "5eed-1"}) {
    v1::OutcomesStart start;
    start.set_after_cursor(cursor);
    const grpc::Status status = ends(start);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << cursor;
    EXPECT_EQ(status.error_message().rfind("start.after_cursor: ", 0), 0U) << cursor;
  }
  v1::OutcomesStart start;
  start.mutable_filter()->add_domains("a*b");
  EXPECT_EQ(ends(start).error_message().rfind("start.filter.domains[0]", 0), 0U);

  Client ahead = Open(Consumer("books"));
  ASSERT_TRUE(ahead.Read());
  ahead.Acknowledge("0000000000005eed-2");
  EXPECT_EQ(ahead.End().error_message(), "acknowledge.cursor: was not sent on this stream");
  Client looks = Open({});
  ASSERT_TRUE(looks.Read());
  looks.Acknowledge(looks.frame.outcomes().cursor());
  EXPECT_EQ(looks.End().error_message(), "acknowledge: the stream has no consumer");
}

TEST_F(OutcomesTest, TheNumberOfStreamsIsBounded) {
  limits.outcome_streams = 1;
  Start();
  Record(1);
  Client client = Open({});
  ASSERT_TRUE(client.Read());
  EXPECT_EQ(Open({}).End().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(client.End().ok());
}

TEST_F(OutcomesTest, CallsThatDoNotStartKeepNobodyOut) {
  limits.outcome_streams = 2;
  limits.attach = absl::Hours(1);
  Start();
  Record(1);
  std::vector<Client> silent;
  for (int i = 0; i < 4; ++i) silent.push_back(OpenSilent());
  AwaitCalls(4);
  Client client = Open({});
  EXPECT_TRUE(client.Read());
  EXPECT_TRUE(client.End().ok());
  for (Client& each : silent) {
    each.context->TryCancel();
    each.End();
  }
}

TEST_F(OutcomesTest, CallsThatDoNotStartAreBounded) {
  limits.outcome_streams = 1;
  limits.attach = absl::Hours(1);
  Start();
  std::vector<Client> silent;
  for (int i = 0; i < 4; ++i) silent.push_back(OpenSilent());
  AwaitCalls(4);
  Client one_more = OpenSilent();
  EXPECT_FALSE(one_more.Read());
  EXPECT_EQ(one_more.stream->Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  for (Client& each : silent) {
    each.context->TryCancel();
    each.End();
  }
}

TEST_F(OutcomesTest, AStreamWithoutAStartEnds) {
  limits.attach = absl::Milliseconds(50);
  Start();
  Client silent = OpenSilent();
  EXPECT_FALSE(silent.Read());
  EXPECT_EQ(silent.stream->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(OutcomesTest, AClientThatVanishesAndAServerThatEndsLeaveNothing) {
  Start();
  Record(1);
  Client gone = Open(Consumer("books"));
  ASSERT_TRUE(gone.Read());
  gone.context->TryCancel();
  gone.End();
  Client left = Open(Consumer("others"));
  ASSERT_TRUE(left.Read());
  server->Shutdown(absl::Seconds(60));
  EXPECT_EQ(left.End().error_code(), StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace postern::rpc

#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;

class WatchTest : public RpcTest {
 protected:
  struct Stream {
    std::unique_ptr<grpc::ClientContext> context = Context();
    std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> reader;

    // The next frame that is no heartbeat; an empty one at the end.
    v1::WatchResponse Next() {
      v1::WatchResponse frame;
      while (reader->Read(&frame)) {
        if (!frame.has_heartbeat()) return frame;
      }
      return {};
    }
  };

  // Returns when the subscription stands: the snapshot is its first frame.
  Stream Watch(v1::WatchRequest request) {
    Stream stream;
    request.set_snapshot(true);
    stream.reader = hooks_stub->Watch(stream.context.get(), request);
    EXPECT_TRUE(stream.Next().has_snapshot());
    return stream;
  }
  grpc::Status Refusal(const v1::WatchRequest& request) {
    auto context = Context();
    auto reader = hooks_stub->Watch(context.get(), request);
    v1::WatchResponse frame;
    EXPECT_FALSE(reader->Read(&frame));
    return reader->Finish();
  }
};

TEST_F(WatchTest, EventsComeInBatchesWithoutHoles) {
  limits.linger = absl::Seconds(1);  // however slowly they are made, there is company to wait for
  Start();
  Stream stream = Watch({});
  constexpr int kEvents = 2000;
  for (int i = 0; i < kEvents; ++i) FakeSession(*bridge).Connect();
  std::uint64_t next_position = 1;
  std::uint64_t last_sequence = 0;
  int frames = 0;
  while (next_position <= kEvents) {
    const v1::WatchResponse frame = stream.Next();
    ASSERT_TRUE(frame.has_events()) << frame.ShortDebugString();
    EXPECT_EQ(frame.events().epoch(), bridge->epoch());
    EXPECT_EQ(frame.events().first_position(), next_position);
    EXPECT_LE(frame.events().events_size(), 256);
    for (const v1::Event& event : frame.events().events()) {
      EXPECT_GT(event.sequence(), last_sequence);
      last_sequence = event.sequence();
      EXPECT_EQ(event.connection().domain(), "a.example");
      EXPECT_EQ(event.post_initiate_connection_smtp().conn_fd(), 7);
    }
    next_position += static_cast<std::uint64_t>(frame.events().events_size());
    ++frames;
  }
  EXPECT_LT(frames, kEvents / 4);
}

TEST_F(WatchTest, AllKindsArriveWithWhatTheyCarry) {
  Start();
  v1::WatchRequest request;
  for (int kind = 1; kind <= 5; ++kind) request.add_kinds(static_cast<v1::EventKind>(kind));
  Stream stream = Watch(request);
  FakeSession session(*bridge);
  session.Connect();
  hooks::SessionReady ready;
  ready.capabilities = {"PIPELINING", "\xFF"};
  bridge->OnSessionReady(session.info, ready);
  session.report.recipients.push_back({"r@a.example", mail::Disposition::kDelivered, nullptr});
  session.report.recipients.push_back({"q@a.example", mail::Disposition::kDeferred, nullptr});
  session.report.reason = mail::RequeueReason::kReply421;
  session.report.mail_time = absl::Milliseconds(2);
  session.report.body_time = absl::Milliseconds(5);
  session.Ask();
  session.Settle();
  session.Close();
  std::vector<v1::Event> events;
  while (events.size() < 5) {
    const v1::WatchResponse frame = stream.Next();
    ASSERT_TRUE(frame.has_events()) << frame.ShortDebugString();
    events.insert(events.end(), frame.events().events().begin(), frame.events().events().end());
  }
  ASSERT_TRUE(events[1].has_session_ready());
  EXPECT_EQ(events[1].session_ready().capabilities(1), "?");
  ASSERT_TRUE(events[2].has_delivery_attempt());
  EXPECT_EQ(events[2].delivery_attempt().message_id(), session.report.message_id.ToString());
  EXPECT_EQ(events[2].delivery_attempt().recipients(0).disposition(), v1::DISPOSITION_DELIVERED);
  EXPECT_EQ(events[2].delivery_attempt().recipients(0).reason(), v1::REQUEUE_REASON_UNSPECIFIED);
  EXPECT_EQ(events[2].delivery_attempt().recipients(1).reason(), v1::REQUEUE_REASON_REPLY_421);
  ASSERT_EQ(events[2].delivery_attempt().phases_size(), 2);
  EXPECT_EQ(events[2].delivery_attempt().phases(0).stage(), v1::SMTP_STAGE_MAIL);
  EXPECT_EQ(events[2].delivery_attempt().phases(1).stage(), v1::SMTP_STAGE_BODY);
  EXPECT_EQ(events[2].delivery_attempt().took().nanos(), 7'000'000);
  ASSERT_TRUE(events[3].has_verdict());
  EXPECT_EQ(events[3].verdict().decision(), v1::DECISION_KEEP);
  EXPECT_TRUE(events[4].has_connection_closed());
}

TEST_F(WatchTest, HeartbeatTellsTheHeadWhenNothingHappens) {
  limits.heartbeat = absl::Milliseconds(5);
  Start();
  Stream stream = Watch({});
  FakeSession(*bridge).Connect();
  EXPECT_TRUE(stream.Next().has_events());
  v1::WatchResponse frame;
  ASSERT_TRUE(stream.reader->Read(&frame));
  ASSERT_TRUE(frame.has_heartbeat()) << frame.ShortDebugString();
  EXPECT_EQ(frame.heartbeat().epoch(), bridge->epoch());
  EXPECT_EQ(frame.heartbeat().head_sequence(), bridge->head_sequence());
}

TEST_F(WatchTest, RequestsThatCannotBeServedNameTheirField) {
  Start();
  v1::WatchRequest request;
  request.add_kinds(v1::EVENT_KIND_UNSPECIFIED);
  EXPECT_EQ(Refusal(request).error_message(), "kinds[0]: names no kind");
  request.clear_kinds();
  request.add_kinds(static_cast<v1::EventKind>(99));
  EXPECT_EQ(Refusal(request).error_code(), StatusCode::INVALID_ARGUMENT);
  request.clear_kinds();
  request.mutable_filter()->add_domains("x*");
  EXPECT_EQ(Refusal(request).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(WatchTest, OtherEpochBeginsWithAGap) {
  Start();
  v1::WatchRequest request;
  request.mutable_after()->set_epoch(bridge->epoch() + 1);
  request.mutable_after()->set_sequence(5);
  Stream stream;
  stream.reader = hooks_stub->Watch(stream.context.get(), request);
  const v1::WatchResponse frame = stream.Next();
  ASSERT_TRUE(frame.has_gap()) << frame.ShortDebugString();
  EXPECT_EQ(frame.gap().cause(), v1::GAP_CAUSE_NEW_EPOCH);
  EXPECT_EQ(frame.gap().epoch(), bridge->epoch());
}

TEST_F(WatchTest, StreamIsToldOfTheDrainAndEndsWithTheServer) {
  Start();
  Stream stream = Watch({});
  server->Shutdown(absl::Seconds(60));
  EXPECT_TRUE(stream.Next().has_draining());
  EXPECT_EQ(stream.Next().frame_case(), v1::WatchResponse::FRAME_NOT_SET);
  EXPECT_EQ(stream.reader->Finish().error_code(), StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace postern::rpc

// Events, filters, buffers, the ring and resuming.
#include "server/bridge/event_ring.h"
#include "tests/unit/bridge/fixture.h"

namespace postern::bridge {
namespace {

class WatchTest : public BridgeTest {
 protected:
  std::unique_ptr<Subscription> Watch(WatchRequest request = {}) {
    auto watch = bridge->Watch(std::move(request), subscriber);
    EXPECT_TRUE(watch.ok()) << watch.status();
    return *std::move(watch);
  }
  WatchRequest AllKinds() {
    WatchRequest request;
    request.kinds = KindSet::All();
    return request;
  }
  WatchRequest After(std::uint64_t sequence) {
    WatchRequest request;
    request.after = Cursor{bridge->epoch(), sequence};
    return request;
  }
  void Connect(int times, std::string domain = "a.example") {
    for (int i = 0; i < times; ++i) FakeSession(*bridge, clock, domain).Connect(-1);
  }

  std::shared_ptr<CountingSubscriber> subscriber = std::make_shared<CountingSubscriber>();
};

TEST_F(WatchTest, TellsAllFiveKindsInOrder) {
  auto watch = Watch(AllKinds());
  FakeSession s(*bridge, clock);
  s.Connect();
  bridge->OnSessionReady(s.info, {});
  s.Ask();
  s.Settle();
  s.Close();
  const Received received = TakeAll(*watch);
  ASSERT_EQ(received.events.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(received.events[i].data->kind(), static_cast<EventKind>(i));
    EXPECT_EQ(received.events[i].sequence, i + 1);
    EXPECT_EQ(received.positions[i], i + 1);
    EXPECT_EQ(received.events[i].data->connection->id, s.info.id);
    EXPECT_EQ(*received.events[i].encoded, Name(static_cast<EventKind>(i)));
  }
}

TEST_F(WatchTest, TellsFailedAttemptsWithTheirError) {
  auto watch = Watch();
  Connect(1);
  const Received received = TakeAll(*watch);
  ASSERT_EQ(received.events.size(), 1u);
  const auto& what = std::get<PostInitiateEvent>(received.events[0].data->what);
  EXPECT_EQ(what.conn_fd, -1);
  EXPECT_EQ(what.error, mail::ConnError::kConnect);
}

TEST_F(WatchTest, GetsPostInitiateOnlyUnlessItNamesKinds) {
  auto watch = Watch();
  FakeSession s(*bridge, clock);
  s.Connect();
  s.Ask();
  s.Settle();
  s.Close();
  EXPECT_EQ(TakeAll(*watch).events.size(), 1u);
}

TEST_F(WatchTest, FiltersByDomainAndSequencesKeepTheirHolesWhilePositionsDoNot) {
  WatchRequest request;
  request.filter.domains = {"*.b.example"};
  auto watch = Watch(std::move(request));
  Connect(1, "x.b.example");
  Connect(2, "a.example");
  Connect(1, "y.b.example");
  const Received received = TakeAll(*watch);
  ASSERT_EQ(received.events.size(), 2u);
  EXPECT_EQ(received.events[1].sequence, 4u);
  EXPECT_EQ(received.positions, (std::vector<std::uint64_t>{1, 2}));
}

TEST_F(WatchTest, AnEventIsEncodedOnceForAllWhoWantItAndNeverForNobody) {
  auto first = Watch(), second = Watch();
  Connect(1);
  EXPECT_EQ(encoded.load(), 1);
  FakeSession s(*bridge, clock);
  bridge->OnSessionReady(s.info, {});
  EXPECT_EQ(encoded.load(), 1);
  const Received a = TakeAll(*first), b = TakeAll(*second);
  EXPECT_EQ(a.events.at(0).encoded, b.events.at(0).encoded);
}

TEST_F(WatchTest, WakesOnlyWhenSomethingBecomesReady) {
  auto watch = Watch();
  Connect(1);
  EXPECT_EQ(subscriber->ready.load(), 0) << "before the first Take";
  TakeAll(*watch);
  Connect(3);
  EXPECT_EQ(subscriber->ready.load(), 1);
  EXPECT_TRUE(watch->Take(2, 1 << 20).more);
  Connect(1);
  EXPECT_EQ(subscriber->ready.load(), 1) << "there was more: the writer comes by itself";
  TakeAll(*watch);
  Connect(1);
  EXPECT_EQ(subscriber->ready.load(), 2);
}

TEST_F(WatchTest, TakeKeepsToItsBoundsButAlwaysMovesOne) {
  auto watch = Watch();
  Connect(3);
  Taken taken = watch->Take(256, 1);
  ASSERT_EQ(taken.frames.size(), 1u);
  EXPECT_EQ(std::get<EventRun>(taken.frames[0]).events.size(), 1u);
  EXPECT_TRUE(taken.more);
  taken = watch->Take(1, 1 << 20);
  EXPECT_EQ(std::get<EventRun>(taken.frames[0]).first_position, 2u);
}

TEST_F(WatchTest, ASlowSubscriberLosesTheOldestAndIsToldByOneGap) {
  PolicyOptions options;
  options.buffer_events = 3;
  Start(options);
  auto watch = Watch();
  Connect(8);
  const Received received = TakeAll(*watch);
  ASSERT_EQ(received.gaps.size(), 1u);
  EXPECT_EQ(received.gaps[0].lost, 5u);
  EXPECT_EQ(received.gaps[0].first_lost, 1u);
  EXPECT_EQ(received.gaps[0].last_lost, 5u);
  EXPECT_EQ(received.gaps[0].cause, GapCause::kBufferFull);
  EXPECT_EQ(received.order, "ge");
  ASSERT_EQ(received.events.size(), 3u);
  EXPECT_EQ(received.events[0].sequence, 6u);
  EXPECT_EQ(received.positions[0], 1u);
}

TEST_F(WatchTest, TheBufferIsBoundedInBytesToo) {
  PolicyOptions options;
  options.buffer_bytes = 300;
  Start(options);
  auto watch = Watch();
  Connect(100);
  const Received received = TakeAll(*watch);
  EXPECT_LE(received.events.size(), 4u);
  ASSERT_EQ(received.gaps.size(), 1u);
  EXPECT_EQ(received.gaps[0].lost, 100u - received.events.size());
}

TEST_F(WatchTest, ResumesBehindTheCursorWithoutAGap) {
  auto first = Watch();
  Connect(5);
  TakeAll(*first);
  first.reset();
  Connect(2);
  const Received received = TakeAll(*Watch(After(5)));
  EXPECT_TRUE(received.gaps.empty());
  ASSERT_EQ(received.events.size(), 2u);
  EXPECT_EQ(received.events[0].sequence, 6u);
  EXPECT_FALSE(received.events[0].encoded->empty()) << "encoded when it was taken";
}

TEST_F(WatchTest, ReplayIsFilteredAndMayExceedTheBuffer) {
  PolicyOptions options;
  options.buffer_events = 2;
  Start(options);
  auto first = Watch();
  Connect(6);
  Connect(1, "b.example");
  WatchRequest request = After(1);
  request.filter.domains = {"a.example"};
  auto second = Watch(std::move(request));
  Connect(1);  // live, behind the replay
  const Received received = TakeAll(*second);
  EXPECT_TRUE(received.gaps.empty());
  ASSERT_EQ(received.events.size(), 6u);
  EXPECT_EQ(received.events.front().sequence, 2u);
  EXPECT_EQ(received.events.back().sequence, 8u);
}

TEST_F(WatchTest, ResumingBehindTheRingTellsTheGap) {
  PolicyOptions options;
  options.ring_events = 4;
  Start(options);
  auto first = Watch();
  Connect(10);
  const Received received = TakeAll(*Watch(After(2)));
  ASSERT_EQ(received.gaps.size(), 1u);
  EXPECT_EQ(received.gaps[0].cause, GapCause::kRingExceeded);
  EXPECT_EQ(received.gaps[0].first_lost, 3u);
  EXPECT_EQ(received.gaps[0].last_lost, received.events.at(0).sequence - 1);
  EXPECT_EQ(received.events.size(), 4u);
}

TEST_F(WatchTest, TheRingForgetsWhatIsTooOld) {
  auto first = Watch();
  Connect(3);
  clock.Advance(absl::Minutes(6));
  const Received received = TakeAll(*Watch(After(1)));
  ASSERT_EQ(received.gaps.size(), 1u);
  EXPECT_EQ(received.gaps[0].cause, GapCause::kRingExceeded);
  EXPECT_TRUE(received.events.empty());
}

TEST_F(WatchTest, RecordsForFiveMinutesAfterTheLastSubscriptionAndThenSaysSo) {
  Watch().reset();
  clock.Advance(absl::Minutes(4));
  Connect(1);
  EXPECT_EQ(TakeAll(*Watch(After(0))).events.size(), 1u);
  clock.Advance(absl::Minutes(6));
  Connect(4);
  const Received received = TakeAll(*Watch(After(1)));
  ASSERT_EQ(received.gaps.size(), 1u);
  EXPECT_EQ(received.gaps[0].cause, GapCause::kNotRecorded);
  EXPECT_EQ(received.gaps[0].first_lost, 2u);
  EXPECT_EQ(received.gaps[0].last_lost, 5u);
}

TEST_F(WatchTest, AnotherEpochGetsAGapAndThenASnapshotOfTheOpenConnections) {
  FakeSession open(*bridge, clock), closed(*bridge, clock), other(*bridge, clock, "b.example");
  open.Connect();
  closed.Connect();
  other.Connect();
  closed.Close();
  open.Ask();
  open.Settle();
  clock.Advance(absl::Seconds(3));
  WatchRequest request = After(1);
  request.after->epoch ^= 1;
  request.filter.domains = {"a.example"};
  auto watch = Watch(std::move(request));
  Connect(1);
  const Received received = TakeAll(*watch);
  EXPECT_EQ(received.order, "gse");
  EXPECT_EQ(received.gaps.at(0).cause, GapCause::kNewEpoch);
  ASSERT_EQ(received.snapshots.at(0).connections.size(), 1u);
  const Snapshot::Entry& entry = received.snapshots[0].connections[0];
  EXPECT_EQ(entry.connection->id, open.info.id);
  EXPECT_EQ(entry.age, absl::Seconds(3));
  EXPECT_EQ(entry.deliveries, 1u);
  EXPECT_EQ(entry.attempts, 1u);
  EXPECT_EQ(received.snapshots[0].head_sequence + 1, received.events.at(0).sequence);
}

TEST_F(WatchTest, SequencesGoOnWhileNobodyWatches) {
  Connect(3);
  auto watch = Watch();
  EXPECT_EQ(watch->head_sequence(), 3u);
  Connect(1);
  EXPECT_EQ(TakeAll(*watch).events.at(0).sequence, 4u);
}

TEST_F(WatchTest, DrainIsToldToOpenAndLaterStreamsWithTheTimeLeft) {
  auto open = Watch();
  TakeAll(*open);
  bridge->Drain(clock.Steady() + absl::Seconds(30));
  EXPECT_EQ(subscriber->ready.load(), 1);
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(TakeAll(*open).draining.at(0).time_left, absl::Seconds(20));
  EXPECT_EQ(TakeAll(*Watch()).draining.at(0).time_left, absl::Seconds(20));
}

TEST_F(WatchTest, StreamsAreLimitedAndTheLimitIsNamed) {
  PolicyOptions options;
  options.max_streams = 1;
  Start(options);
  auto first = Watch();
  const auto second = bridge->Watch({}, subscriber);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(second.status().message().find("max_streams"), absl::string_view::npos);
  first.reset();
  EXPECT_TRUE(bridge->Watch({}, subscriber).ok());
}

TEST_F(WatchTest, AnEndedSubscriptionLetsGoOfItsSubscriber) {
  auto watch = Watch();
  Connect(1);
  watch.reset();
  EXPECT_EQ(subscriber.use_count(), 1);
}

TEST(EventRingTest, HoldsItsBoundAndViewsWhatIsBehindASequence) {
  EventRing ring(128, absl::Minutes(5));
  for (std::uint64_t i = 1; i <= 1000; ++i) ring.Push({i, nullptr, nullptr}, absl::UnixEpoch());
  EXPECT_LE(ring.first_sequence(), 1000u - 128 + 1);
  EXPECT_GE(ring.first_sequence(), 1000u - 128 - 1);
  const auto spans = ring.View(999);
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].events->data()[spans[0].size - 1].sequence, 1000u);
  EXPECT_TRUE(ring.View(1000).empty());
}

}  // namespace
}  // namespace postern::bridge

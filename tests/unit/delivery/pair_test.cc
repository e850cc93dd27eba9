#include "server/delivery/pair.h"

#include "server/delivery/scheduler.h"
#include "tests/unit/delivery/fixture.h"

namespace postern::delivery {
namespace {

using Lines = std::vector<std::string>;

// The place that everyone waits for is the test's until it gives it back.
class PairTest : public DeliveryTest {
 protected:
  void TakeThePlace() {
    const mail::DeliveryOptions& options = options_.at("default");
    place_ = context_.hosts.Acquire("", host(), HostLimits(options), clock_.Steady()).permit;
    ASSERT_NE(place_, nullptr);
  }
  void WaitFor(const std::string& domain, mail::RequeueReason reason) {
    WaitQueue(domain, [&](const QueueInfo& queue) { return queue.waiting_for == reason; });
  }
  void Suspend(const std::string& domain) {
    mail::Hold hold;
    hold.scope.domain = domain;
    ASSERT_TRUE(dispatcher_->operations().Suspend(hold).ok());
  }
  // A pair whose thread is the test's.
  Pair& OwnPair() {
    scheduler_ = std::make_unique<Scheduler>(
        context_, 0, [this](asio::io_context&) { return std::make_unique<TestResolver>(known_); });
    mail::PairKey key;
    key.domain = "own.test";
    key.binding = "default";
    return scheduler_->PairOf(std::make_shared<const mail::PairKey>(key));
  }
  // Waits for a place of the server; a connection that was under way meanwhile reaches no host.
  void ParkAndBackOff(Pair& pair) {
    Parking parking;
    parking.grant = HostTable::Grant::kServerFull;
    parking.until = absl::InfiniteFuture();
    pair.Park(std::move(parking));
    ConnectionEnd end;
    end.unreachable = {"192.0.2.1:25"};
    pair.BackOffUnreachable(end);
  }
  std::unique_ptr<HostTable::Permit> place_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(PairTest, APlaceThatASuspendedQueueDoesNotTakeGoesToTheNext) {
  options_.at("default").max_connections_per_host = 1;
  Start();
  TakeThePlace();
  Submit({"r@first.test"});
  EXPECT_EQ(WaitEvents(1), (Lines{"first.test: HOST_MAX_REACHED"}));
  Submit({"r@second.test"});
  EXPECT_EQ(WaitEvents(2).back(), "second.test: HOST_MAX_REACHED");
  Suspend("first.test");
  place_.reset();
  EXPECT_EQ(WaitEvents(3).back(), "second.test: NONE");
}

TEST_F(PairTest, APlaceThatAQueueWithoutMailDoesNotTakeGoesToTheNext) {
  options_.at("default").max_connections_per_host = 1;
  Start();
  TakeThePlace();
  Submit({"r@first.test"});
  WaitEvents(1);
  Submit({"r@second.test"});
  WaitEvents(2);
  mail::Scope scope;
  scope.domain = "first.test";
  const mail::Reply reply{550, "5.0.0", "given up", mail::SmtpStage::kNone};
  ASSERT_EQ(*dispatcher_->operations().Fail(scope, reply, false), 1U);
  place_.reset();
  EXPECT_EQ(WaitEvents(3).back(), "second.test: NONE");
}

TEST_F(PairTest, APlaceOfTheServerThatAQueueDoesNotTakeGoesToTheNext) {
  options_.at("default").server_max_outbound_connections = 1;
  Start();
  TakeThePlace();
  Submit({"r@first.test"});
  WaitFor("first.test", mail::RequeueReason::kThrottled);
  Submit({"r@second.test"});
  WaitFor("second.test", mail::RequeueReason::kThrottled);
  Suspend("first.test");
  place_.reset();
  EXPECT_EQ(WaitEvents(3).back(), "second.test: NONE");
}

TEST_F(PairTest, ThePlaceIsKeptForWhoeverWaitedFirst) {
  options_.at("default").max_connections_per_host = 1;
  clock_.Stop();  // who was parked stays so for its second
  Start();
  TakeThePlace();
  Submit({"r@first.test"});
  WaitEvents(1);
  place_.reset();
  Submit({"r@late.test"});
  EXPECT_EQ(WaitEvents(2)[1], "late.test: HOST_MAX_REACHED");
}

TEST_F(PairTest, ABackOffOfHostsDoesNotEndTheWaitForAPlace) {
  options_.at("default").server_max_outbound_connections = 1;
  TakeThePlace();
  ParkAndBackOff(OwnPair());
  place_.reset();
  const HostTable::Limits limits = HostLimits(options_.at("default"));
  EXPECT_EQ(context_.hosts.Acquire("", host(), limits, clock_.Steady()).grant,
            HostTable::Grant::kServerFull)
      << "the place is kept for the pair";
}

TEST_F(PairTest, APlaceThatIsFreedDoesNotEndABackOffOfHosts) {
  options_.at("default").server_max_outbound_connections = 1;
  clock_.Stop();
  TakeThePlace();
  Pair& pair = OwnPair();
  ParkAndBackOff(pair);
  const absl::Time until = pair.info().backoff_until;
  place_.reset();
  scheduler_->io().poll();
  EXPECT_EQ(pair.info().backoff_until, until);
}

TEST_F(PairTest, WhoWaitsForAPlaceGetsItWhenAReloadRaisesTheLimit) {
  mail::DeliveryOptions& options = options_.at("default");
  options.server_max_outbound_connections = 1;
  TakeThePlace();
  Pair& pair = OwnPair();
  auto row = std::make_unique<queue::QueuedRow>();
  row->row.expires = absl::InfiniteFuture();
  row->row.next_attempt = absl::InfinitePast();
  pair.Add(std::move(row));
  ParkAndBackOff(pair);
  options.server_max_outbound_connections = 2;
  options_.Renew();
  pair.Maintain();
  EXPECT_EQ(context_.hosts.Acquire("", host(), HostLimits(options), clock_.Steady()).grant,
            HostTable::Grant::kServerFull)
      << "the second place is kept for the pair";
}

TEST_F(PairTest, OtherRoutesEndABackOffAndOtherLimitsDoNot) {
  mail::DeliveryOptions& options = options_.at("default");
  options.server_max_outbound_connections = 1;
  clock_.Stop();  // the back-off is of a second
  TakeThePlace();
  Pair& pair = OwnPair();
  ParkAndBackOff(pair);
  const absl::Time until = pair.info().backoff_until;
  ASSERT_NE(until, QueueInfo{}.backoff_until);
  pair.Maintain();
  options.max_deliveries_per_connection = 7;
  options_.Renew();
  pair.Maintain();
  EXPECT_TRUE(pair.parked());
  EXPECT_EQ(pair.info().backoff_until, until);
  options.routes.front().port = 2525;
  options_.Renew();
  pair.Maintain();
  EXPECT_FALSE(pair.parked());
  EXPECT_EQ(pair.info().backoff_until, QueueInfo{}.backoff_until);
}

}  // namespace
}  // namespace postern::delivery

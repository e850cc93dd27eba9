#include "server/delivery/pair.h"

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
  std::unique_ptr<HostTable::Permit> place_;
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
  EXPECT_EQ(WaitEvents(1), (Lines{"second.test: NONE"}));
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

}  // namespace
}  // namespace postern::delivery

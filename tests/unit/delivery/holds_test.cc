#include "server/delivery/holds.h"

#include <gtest/gtest.h>

#include "tests/support/memory_spool.h"
#include "tests/unit/delivery/stopped_clock.h"

namespace postern::delivery {
namespace {

class HoldTableTest : public ::testing::Test {
 protected:
  mail::Hold Suspension(std::string domain, absl::Duration lasts = absl::InfiniteDuration()) {
    mail::Hold hold;
    hold.scope = {std::move(domain), ""};
    hold.who = "ops";
    hold.reason = "maintenance";
    hold.since = clock.now;
    hold.until = clock.now + lasts;
    return hold;
  }
  mail::Hold PolicyHold(std::string domain, absl::Duration lasts) {
    mail::Hold hold = Suspension(std::move(domain), lasts);
    hold.kind = mail::Hold::Kind::kPolicy;
    hold.scope.binding = "default";
    return hold;
  }
  std::optional<mail::Hold> Find(const std::string& domain) {
    return table.Find({domain, "default"}, options);
  }

  StoppedClock clock;
  postern::testing::MemorySpool spool;
  mail::DeliveryOptions options;
  HoldTable table{spool, clock};
};

TEST_F(HoldTableTest, ASuspensionHoldsForPairsThatAppearLater) {
  ASSERT_TRUE(table.Put(Suspension("*.example.net")).ok());
  ASSERT_TRUE(Find("new.example.net").has_value());
  EXPECT_EQ(Find("new.example.net")->requeue_reason(), mail::RequeueReason::kSuspended);
  EXPECT_FALSE(Find("example.org").has_value());
}

TEST_F(HoldTableTest, EndsByItselfWhenItsTimeIsOver) {
  ASSERT_TRUE(table.Put(Suspension("a.test", absl::Minutes(5))).ok());
  EXPECT_TRUE(Find("a.test").has_value());
  clock.now += absl::Minutes(5);
  EXPECT_FALSE(Find("a.test").has_value());
  EXPECT_TRUE(table.All().empty());
}

TEST_F(HoldTableTest, SurvivesARestartWithWhoWhyAndUntilWhen) {
  ASSERT_TRUE(table.Put(Suspension("a.test")).ok());
  ASSERT_TRUE(table.Put(PolicyHold("b.test", absl::Minutes(30))).ok());
  ASSERT_TRUE(table.Put(PolicyHold("over.test", absl::Minutes(1))).ok());
  clock.now += absl::Minutes(2);
  HoldTable next(spool, clock);
  ASSERT_TRUE(next.Load().ok());
  const std::vector<mail::Hold> all = next.All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].scope.domain, "a.test");
  EXPECT_EQ(all[0].who, "ops");
  EXPECT_EQ(all[0].reason, "maintenance");
  EXPECT_EQ(all[0].until, absl::InfiniteFuture());
  EXPECT_EQ(all[1].scope, (mail::Scope{"b.test", "default"}));
  EXPECT_EQ(all[1].until, clock.now + absl::Minutes(28));
}

TEST_F(HoldTableTest, LiftsWhatLiesWithinAndLeavesWhatIsWider) {
  ASSERT_TRUE(table.Put(Suspension("*")).ok());
  ASSERT_TRUE(table.Put(Suspension("a.test")).ok());
  ASSERT_TRUE(table.Put(PolicyHold("a.test", absl::Minutes(5))).ok());
  const std::uint64_t before = table.generation();
  EXPECT_EQ(table.Lift({"a.test", ""}).size(), 2u);
  EXPECT_NE(table.generation(), before);
  ASSERT_TRUE(Find("a.test").has_value());
  EXPECT_EQ(Find("a.test")->scope.domain, "*");
  EXPECT_EQ(table.Lift({"*", ""}).size(), 1u);
  EXPECT_FALSE(Find("a.test").has_value());
  HoldTable next(spool, clock);
  ASSERT_TRUE(next.Load().ok());
  EXPECT_TRUE(next.All().empty()) << "lifted for good";
}

TEST_F(HoldTableTest, AgainForTheSameScopeTakesItsPlace) {
  ASSERT_TRUE(table.Put(Suspension("a.test")).ok());
  mail::Hold second = Suspension("a.test", absl::Hours(1));
  second.reason = "shorter";
  ASSERT_TRUE(table.Put(second).ok());
  ASSERT_EQ(table.All().size(), 1u);
  EXPECT_EQ(Find("a.test")->reason, "shorter");
}

TEST_F(HoldTableTest, ASuspensionGoesBeforeAPolicyHold) {
  ASSERT_TRUE(table.Put(PolicyHold("a.test", absl::Minutes(5))).ok());
  EXPECT_EQ(Find("a.test")->requeue_reason(), mail::RequeueReason::kPolicyHold);
  ASSERT_TRUE(table.Put(Suspension("a.test")).ok());
  EXPECT_EQ(Find("a.test")->requeue_reason(), mail::RequeueReason::kSuspended);
}

TEST_F(HoldTableTest, TheOptionSuspendsToo) {
  options.suspend_delivery = true;
  ASSERT_TRUE(Find("a.test").has_value());
  EXPECT_EQ(Find("a.test")->who, "configuration");
}

TEST_F(HoldTableTest, RefusesMoreSuspensionsThanPairsCanLookThrough) {
  for (std::size_t i = 0; i < HoldTable::kMaxSuspensions; ++i) {
    ASSERT_TRUE(table.Put(Suspension("d" + std::to_string(i) + ".test")).ok());
  }
  EXPECT_EQ(table.Put(Suspension("more.test")).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(table.Put(Suspension("d0.test")).ok()) << "takes a place that is there";
  EXPECT_TRUE(table.Put(PolicyHold("more.test", absl::Minutes(1))).ok());
}

}  // namespace
}  // namespace postern::delivery

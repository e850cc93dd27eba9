#include "server/delivery/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace postern::delivery {
namespace {

using mail::Disposition;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kRoundBegan = absl::FromUnixSeconds(1'000'000);

class BatchTest : public ::testing::Test {
 protected:
  BatchTest() { queued_.round_began = kRoundBegan; }
  void Add(std::string address, Disposition disposition = Disposition::kQueued,
           absl::Time changed = kRoundBegan - absl::Hours(1)) {
    queued_.row.recipients.push_back({std::move(address), disposition, nullptr, changed});
  }
  // The transaction has deferred these in the present round.
  void Offer(const std::vector<std::size_t>& indices) {
    for (const std::size_t i : indices) {
      queued_.row.recipients[i].disposition = Disposition::kDeferred;
      queued_.row.recipients[i].changed = kRoundBegan;
    }
  }
  std::vector<std::size_t> Choose(int recipients, int domains = 0) {
    return ChooseRecipients(queued_, BatchLimits{recipients, domains});
  }
  queue::QueuedRow queued_;
};

TEST_F(BatchTest, TakesAsManyRecipientsAsAreAllowedAndAtLeastOne) {
  for (const char* address : {"a@x.test", "b@y.test", "c@z.test"}) Add(address);
  EXPECT_THAT(Choose(100), ElementsAre(0, 1, 2));
  EXPECT_THAT(Choose(2), ElementsAre(0, 1));
  EXPECT_THAT(Choose(0), ElementsAre(0));
}

TEST_F(BatchTest, ThoseThatWereNeverOfferedGoBeforeThoseOfEarlierRounds) {
  Add("a@x.test", Disposition::kDelivered);
  Add("b@x.test", Disposition::kDeferred);
  Add("c@x.test");
  EXPECT_THAT(Choose(100), ElementsAre(2));
  Offer({2});
  EXPECT_THAT(Choose(100), ElementsAre(1));
  Offer({1});
  EXPECT_THAT(Choose(100), ElementsAre(1, 2)) << "nothing else is left";
}

TEST_F(BatchTest, ARowWithoutOpenRecipientsHasNoBatch) {
  Add("a@x.test", Disposition::kDelivered);
  EXPECT_THAT(Choose(100), IsEmpty());
}

TEST_F(BatchTest, NoMoreDomainsAreMixedThanTheReceiverAllows) {
  for (const char* address : {"a@x.test", "b@y.test", "c@X.Test", "d@z.test", "e@y.test"}) {
    Add(address);
  }
  EXPECT_THAT(Choose(100, 1), ElementsAre(0, 2)) << "whatever their case, these are one domain";
  EXPECT_THAT(Choose(100, 2), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(Choose(100, 3), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(Choose(1, 1), ElementsAre(0));
}

TEST_F(BatchTest, DomainsThatWerePassedOverComeInTheirTurn) {
  for (const char* address : {"a@x.test", "b@y.test", "c@z.test", "d@y.test"}) Add(address);
  Offer(Choose(100, 1));
  EXPECT_THAT(Choose(100, 1), ElementsAre(1, 3));
  Offer(Choose(100, 1));
  EXPECT_THAT(Choose(100, 1), ElementsAre(2));
}

TEST_F(BatchTest, ADomainIsWhatStandsBehindTheLastAt) {
  Add("\"a@x\"@y.test");
  Add("b@y.test");
  Add("c@[192.0.2.1]");
  EXPECT_THAT(Choose(100, 1), ElementsAre(0, 1));
}

}  // namespace
}  // namespace postern::delivery

#include "server/delivery/local_faults.h"

#include <gtest/gtest.h>

namespace postern::delivery {
namespace {

using net::LocalFault;

class LocalFaultsTest : public ::testing::Test {
 protected:
  bool Note(LocalFault fault, LocalFaults::Side side) {
    return faults_.Note(fault, side, std::make_shared<const mail::Reply>(), longest_, now_).began;
  }
  // For how long the side is suspended; `has_route`: to the address that is asked about.
  absl::Duration Left(LocalFaults::Side side, bool has_route = false) {
    const auto found = faults_.Find(
        side, [has_route] { return has_route; }, now_);
    return found.has_value() ? found->until - now_ : absl::ZeroDuration();
  }

  absl::Time now_ = absl::UnixEpoch();
  absl::Duration longest_ = absl::Seconds(5);
  LocalFaults faults_;
  const LocalFaults::Side one_{1, false}, one_v6_{1, true}, two_{2, false}, two_v6_{2, true};
};

TEST_F(LocalFaultsTest, AMissingSourceSuspendsItsBindingAndFamily) {
  EXPECT_EQ(Left(one_), absl::ZeroDuration());
  EXPECT_TRUE(Note(LocalFault::kSource, one_));
  EXPECT_EQ(Left(one_), absl::Seconds(1));
  EXPECT_EQ(Left(one_, true), absl::Seconds(1)) << "routes do not help";
  EXPECT_EQ(Left(one_v6_), absl::ZeroDuration());
  EXPECT_EQ(Left(two_), absl::ZeroDuration());
}

TEST_F(LocalFaultsTest, WithoutDescriptorsTheWholeBindingIsSuspended) {
  EXPECT_TRUE(Note(LocalFault::kMachine, one_));
  EXPECT_EQ(Left(one_v6_), absl::Seconds(1));
  EXPECT_EQ(Left(two_), absl::ZeroDuration());
}

TEST_F(LocalFaultsTest, WithoutRoutesTheFamilyIsSuspendedForAllWhereNoneLeads) {
  EXPECT_TRUE(Note(LocalFault::kFamily, one_v6_));
  EXPECT_EQ(Left(two_v6_), absl::Seconds(1));
  EXPECT_EQ(Left(two_v6_, true), absl::ZeroDuration());
  EXPECT_EQ(Left(two_), absl::ZeroDuration());
  faults_.NoteConnected(two_v6_);
  EXPECT_EQ(Left(one_v6_), absl::Seconds(1));
}

TEST_F(LocalFaultsTest, OnlyTheFirstFaultOfAPeriodIsNews) {
  EXPECT_TRUE(Note(LocalFault::kSource, one_));
  EXPECT_FALSE(Note(LocalFault::kSource, one_));
  EXPECT_TRUE(Note(LocalFault::kSource, two_)) << "another binding's";
  EXPECT_EQ(Left(one_), absl::Seconds(1)) << "the period is not prolonged";
}

TEST_F(LocalFaultsTest, PeriodsDoubleUpToTheLongest) {
  for (const int seconds : {1, 2, 4, 5, 5}) {
    EXPECT_TRUE(Note(LocalFault::kSource, one_));
    EXPECT_EQ(Left(one_), absl::Seconds(seconds));
    now_ += absl::Seconds(seconds);
    EXPECT_EQ(Left(one_), absl::ZeroDuration());
  }
  now_ += longest_;
  EXPECT_TRUE(Note(LocalFault::kSource, one_));
  EXPECT_EQ(Left(one_), absl::Seconds(1)) << "it stayed away for long";
}

TEST_F(LocalFaultsTest, AConnectionEndsWhatTheBindingHad) {
  EXPECT_TRUE(Note(LocalFault::kSource, one_));
  EXPECT_TRUE(Note(LocalFault::kMachine, one_));
  faults_.NoteConnected(one_);
  EXPECT_EQ(Left(one_), absl::ZeroDuration());
  EXPECT_TRUE(Note(LocalFault::kSource, one_)) << "and the next one is news";
}

}  // namespace
}  // namespace postern::delivery

#include "server/delivery/phase_timer.h"

#include <gtest/gtest.h>

namespace postern::delivery {
namespace {

using mail::SmtpStage;

class PhaseTimerTest : public ::testing::Test {
 protected:
  absl::Time At(int milliseconds) const { return start + absl::Milliseconds(milliseconds); }
  std::uint64_t Observed(SmtpStage stage) {
    std::uint64_t sum = 0;
    for (std::uint64_t count : metrics.Phase(stage).counts()) sum += count;
    return sum;
  }

  const absl::Time start = absl::FromUnixSeconds(1'000'000);
  base::Registry registry;
  DeliveryMetrics metrics{registry};
  PhaseTimer timer{metrics};
};

TEST_F(PhaseTimerTest, APhaseLastsUntilTheNext) {
  timer.Run(SmtpStage::kMail, At(0));
  timer.Run(SmtpStage::kMail, At(10));  // its write, then its read
  timer.Run(SmtpStage::kRcpt, At(30));
  timer.Close(At(35));
  EXPECT_EQ(timer.Taken(SmtpStage::kMail), absl::Milliseconds(30));
  EXPECT_EQ(timer.Taken(SmtpStage::kRcpt), absl::Milliseconds(5));
  EXPECT_EQ(Observed(SmtpStage::kMail), 1u);
  EXPECT_DOUBLE_EQ(metrics.Phase(SmtpStage::kMail).sum(), 0.03);
}

TEST_F(PhaseTimerTest, PausesDoNotCount) {
  timer.Run(SmtpStage::kBody, At(0));
  timer.Pause(At(5));
  timer.Run(SmtpStage::kBody, At(100));
  timer.Pause(At(110));
  EXPECT_EQ(Observed(SmtpStage::kBody), 0u);  // not over yet
  timer.Close(At(200));
  EXPECT_EQ(timer.Taken(SmtpStage::kBody), absl::Milliseconds(15));
  EXPECT_EQ(Observed(SmtpStage::kBody), 1u);
}

TEST_F(PhaseTimerTest, ForgetsForTheNextTransaction) {
  timer.Run(SmtpStage::kMail, At(0));
  timer.Close(At(1));
  timer.Close(At(2));  // nothing is under way: nothing to observe
  EXPECT_EQ(Observed(SmtpStage::kMail), 1u);
  timer.Reset();
  EXPECT_EQ(timer.Taken(SmtpStage::kMail), absl::ZeroDuration());
}

}  // namespace
}  // namespace postern::delivery

#include "server/delivery/admission.h"

#include <gtest/gtest.h>

#include "server/base/retry_after.h"

namespace postern::delivery {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class SetClock final : public base::Clock {
 public:
  absl::Time Now() const override { return now; }
  absl::Time Steady() const override { return now; }
  absl::Time now = absl::FromUnixSeconds(1'000'000);
};

AdmissionReading Roomy() {
  AdmissionReading reading;
  reading.free_bytes = 1000 * kMiB;
  return reading;
}

AdmissionState Only(AdmissionCause cause) {
  AdmissionState state{};
  state[static_cast<std::size_t>(cause)] = true;
  return state;
}

TEST(AdmissionJudge, NothingHoldsWithoutMarks) {
  AdmissionReading reading;
  reading.resident_bytes = reading.queued_rows = 1'000'000'000'000;
  EXPECT_EQ(Judge(reading, Watermarks{}, {}), AdmissionState{});
}

TEST(AdmissionJudge, DiskOpensAgainWithATenthToSpare) {
  Watermarks marks;
  marks.min_free_bytes = 100 * kMiB;
  AdmissionReading reading;
  reading.free_bytes = 100 * kMiB;
  EXPECT_EQ(Judge(reading, marks, {}), AdmissionState{});
  reading.free_bytes -= 1;
  const AdmissionState closed = Judge(reading, marks, {});
  EXPECT_EQ(closed, Only(AdmissionCause::kDisk));
  reading.free_bytes = 110 * kMiB - 1;
  EXPECT_EQ(Judge(reading, marks, closed), closed);
  reading.free_bytes = 110 * kMiB;
  EXPECT_EQ(Judge(reading, marks, closed), AdmissionState{});
}

TEST(AdmissionJudge, QueueClosesAtItsMark) {
  Watermarks marks;
  marks.max_queued_rows = 100;
  AdmissionReading reading = Roomy();
  reading.queued_rows = 99;
  EXPECT_EQ(Judge(reading, marks, {}), AdmissionState{});
  reading.queued_rows = 100;
  const AdmissionState closed = Judge(reading, marks, {});
  EXPECT_EQ(closed, Only(AdmissionCause::kQueue));
  reading.queued_rows = 90;
  EXPECT_EQ(Judge(reading, marks, closed), closed);
  reading.queued_rows = 89;
  EXPECT_EQ(Judge(reading, marks, closed), AdmissionState{});
}

TEST(AdmissionJudge, MemoryIsTheProcessOrItsGroup) {
  Watermarks marks;
  marks.max_resident_bytes = 50 * kMiB;
  AdmissionReading reading = Roomy();
  reading.resident_bytes = 50 * kMiB;
  EXPECT_EQ(Judge(reading, marks, {}), Only(AdmissionCause::kMemory));
  reading.resident_bytes = 10 * kMiB;
  EXPECT_EQ(Judge(reading, marks, {}), AdmissionState{});
  reading.group_limit_bytes = 100 * kMiB;
  reading.group_used_bytes = 89 * kMiB;
  EXPECT_EQ(Judge(reading, marks, {}), AdmissionState{});
  reading.group_used_bytes = 90 * kMiB;
  EXPECT_EQ(Judge(reading, marks, {}), Only(AdmissionCause::kMemory));
}

TEST(AdmissionJudge, ASpoolThatCannotWriteHolds) {
  AdmissionReading reading = Roomy();
  reading.spool_writes = false;
  EXPECT_EQ(Judge(reading, Watermarks{}, {}), Only(AdmissionCause::kSpool));
}

class AdmissionTest : public ::testing::Test {
 protected:
  AdmissionTest() {
    reading.free_bytes = 1000 * kMiB;
    marks.min_free_bytes = 100 * kMiB;
    marks.max_queued_rows = 10;
  }
  void Later() { clock.now += Admission::kReadInterval; }

  SetClock clock;
  base::Registry registry;
  base::Gauge queued;
  AdmissionReading reading = Roomy();
  Watermarks marks;
  int reads = 0;
  Admission& admission() {
    if (made == nullptr) {
      made = std::make_unique<Admission>(
          marks,
          [this] {
            ++reads;
            return reading;
          },
          queued, clock, registry);
    }
    return *made;
  }
  std::unique_ptr<Admission> made;
};

TEST_F(AdmissionTest, RefusesWithCauseAndDelayAndCounts) {
  EXPECT_TRUE(admission().Admit().ok());
  reading.free_bytes = 5;
  Later();
  const absl::Status refused = admission().Admit();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message().substr(0, 25), "disk: 5 bytes are free on");
  EXPECT_EQ(base::RetryAfter(refused), absl::Seconds(30));
  EXPECT_FALSE(admission().Check().ok());
  const std::string text = registry.Render();
  EXPECT_NE(text.find("postern_admission_open 0\n"), std::string::npos);
  EXPECT_NE(text.find("postern_admission_closed{cause=\"disk\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("postern_admission_refused_total{cause=\"disk\"} 1\n"), std::string::npos);
  reading.free_bytes = 1000 * kMiB;
  Later();
  EXPECT_TRUE(admission().Admit().ok());
  EXPECT_NE(registry.Render().find("postern_admission_open 1\n"), std::string::npos);
}

TEST_F(AdmissionTest, ReadsNotMoreOftenThanTheInterval) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(admission().Admit().ok());
  EXPECT_EQ(reads, 1);
  Later();
  EXPECT_TRUE(admission().Admit().ok());
  EXPECT_EQ(reads, 2);
}

TEST_F(AdmissionTest, TheQueueIsLookedAtForEachSubmission) {
  EXPECT_TRUE(admission().Admit().ok());
  queued.Set(10);
  const absl::Status refused = admission().Admit();
  EXPECT_EQ(refused.message().substr(0, 26), "queue: 10 messages are que");
  EXPECT_EQ(base::RetryAfter(refused), absl::Seconds(5));
  queued.Set(8);
  EXPECT_TRUE(admission().Admit().ok());
  EXPECT_EQ(reads, 1);
}

TEST_F(AdmissionTest, OnlyProbesHearThatTheSpoolCannotWrite) {
  reading.spool_writes = false;
  EXPECT_TRUE(admission().Admit().ok());
  EXPECT_EQ(admission().Check().code(), absl::StatusCode::kUnavailable);
}

TEST(RetryAfter, IsInWholeSecondsAndNeverNone) {
  using base::RetryAfter;
  using base::WithRetryAfter;
  const absl::Status error = absl::UnavailableError("x");
  EXPECT_EQ(RetryAfter(error), std::nullopt);
  EXPECT_EQ(RetryAfter(WithRetryAfter(error, absl::Milliseconds(1))), absl::Seconds(1));
  EXPECT_EQ(RetryAfter(WithRetryAfter(error, absl::Milliseconds(1001))), absl::Seconds(2));
  EXPECT_TRUE(WithRetryAfter(absl::OkStatus(), absl::Seconds(1)).ok());
}

}  // namespace
}  // namespace postern::delivery

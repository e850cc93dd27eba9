// SlidingWindow: two sums over the last stretch of time, in kBuckets steps.
//
// Not synchronised. Steady time; a sample leaves the window at most one step late.
#pragma once

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace postern::bridge {

template <std::size_t kBuckets>
class SlidingWindow {
 public:
  struct Sums {
    double first = 0;
    double second = 0;
  };

  explicit SlidingWindow(absl::Duration span) : step_(span / static_cast<int>(kBuckets)) {}

  void Add(absl::Time now, double first, double second) {
    const std::int64_t tick = Tick(now);
    Bucket& bucket = buckets_[static_cast<std::uint64_t>(tick) % kBuckets];
    if (bucket.tick != tick) bucket = Bucket{tick, {}};
    bucket.sums.first += first;
    bucket.sums.second += second;
  }

  Sums Total(absl::Time now) const {
    const std::int64_t tick = Tick(now);
    Sums total;
    for (const Bucket& bucket : buckets_) {
      if (bucket.tick <= tick - static_cast<std::int64_t>(kBuckets) || bucket.tick > tick) continue;
      total.first += bucket.sums.first;
      total.second += bucket.sums.second;
    }
    return total;
  }

  void Clear() { buckets_.fill(Bucket{}); }

 private:
  struct Bucket {
    std::int64_t tick = INT64_MIN / 2;
    Sums sums;
  };

  std::int64_t Tick(absl::Time now) const { return (now - absl::UnixEpoch()) / step_; }

  const absl::Duration step_;
  std::array<Bucket, kBuckets> buckets_{};
};

}  // namespace postern::bridge

// The time of the system, but the steady time stands still unless the test moves it: no question,
// rule or breaker runs out because the machine is slow.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "server/base/clock.h"

namespace postern::rpc {

class TestClock final : public base::Clock {
 public:
  absl::Time Now() const override { return system_.Now(); }
  absl::Time Steady() const override {
    return start_ + absl::Nanoseconds(nanos_.load(std::memory_order_relaxed));
  }
  void Advance(absl::Duration d) {
    nanos_.fetch_add(absl::ToInt64Nanoseconds(d), std::memory_order_relaxed);
  }

 private:
  base::SystemClock system_;
  const absl::Time start_ = system_.Steady();
  std::atomic<std::int64_t> nanos_{0};
};

}  // namespace postern::rpc

// Clock: the time as a room sees it, so that tests can move it by hand.
//
// Now() is wall-clock time, for what is shown or stored. Steady() never goes back and is for
// deadlines and durations; only differences between two of its values mean anything.
// Thread: any.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

#include <chrono>

namespace postern::base {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  virtual absl::Time Steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Time Steady() const override {
    return absl::UnixEpoch() +
           absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace postern::base

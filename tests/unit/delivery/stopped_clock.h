// A clock that a test sets.
#pragma once

#include "server/base/clock.h"

namespace postern::delivery {

class StoppedClock final : public base::Clock {
 public:
  absl::Time Now() const override { return now; }
  absl::Time Steady() const override { return now; }
  absl::Time now = absl::FromUnixSeconds(1'000'000);
};

}  // namespace postern::delivery

// TokenBucket: at most `burst` at once and `rate` a second in the long run. Pure, takes `now`.
#pragma once

#include "absl/time/time.h"

namespace postern::queue {

class TokenBucket {
 public:
  // Full at first. REQUIRES: rate > 0, burst >= 1.
  TokenBucket(double rate, int burst);

  // Takes one token; false if there is none.
  bool Take(absl::Time now);
  // When the next token is there; `now` if there is one.
  absl::Time NextToken(absl::Time now);
  // Nothing was taken lately: as good as new.
  bool Full(absl::Time now);
  // Changes the limits; tokens in hand stay, up to the new burst.
  void Configure(double rate, int burst);

 private:
  void Refill(absl::Time now);

  double rate_;
  double burst_;
  double tokens_;
  absl::Time filled_ = absl::InfinitePast();
};

}  // namespace postern::queue

#include "server/queue/token_bucket.h"

#include <algorithm>

namespace postern::queue {

TokenBucket::TokenBucket(double rate, int burst) : rate_(rate), burst_(burst), tokens_(burst) {}

void TokenBucket::Configure(double rate, int burst) {
  rate_ = rate;
  burst_ = burst;
  tokens_ = std::min(tokens_, burst_);
}

void TokenBucket::Refill(absl::Time now) {
  if (filled_ != absl::InfinitePast() && now > filled_) {
    tokens_ = std::min(burst_, tokens_ + rate_ * absl::ToDoubleSeconds(now - filled_));
  }
  filled_ = std::max(filled_, now);
}

bool TokenBucket::Take(absl::Time now) {
  Refill(now);
  // A hair of slack, so that waiting until NextToken() is enough in spite of rounding.
  if (tokens_ < 1 - 1e-6) return false;
  tokens_ = std::max(0.0, tokens_ - 1);
  return true;
}

bool TokenBucket::Full(absl::Time now) {
  Refill(now);
  return tokens_ >= burst_ - 1e-6;
}

absl::Time TokenBucket::NextToken(absl::Time now) {
  Refill(now);
  if (tokens_ >= 1 - 1e-6) return now;
  return now + absl::Seconds((1 - tokens_) / rate_);
}

}  // namespace postern::queue

#include "server/bridge/breaker.h"

#include <algorithm>

namespace postern::bridge {
namespace {

constexpr int kFailuresInARow = 10;
constexpr double kLeastOutcomes = 20;
constexpr absl::Duration kFirstOpen = absl::Seconds(5);
constexpr absl::Duration kLongestOpen = absl::Seconds(60);
constexpr absl::Duration kShareHistory = absl::Seconds(10);
constexpr double kChurnConnections = 20;
constexpr double kChurnDeliveries = 5;

}  // namespace

Breaker::State Breaker::state(absl::Time now) const {
  if (state_ == State::kOpen && now >= open_until_) return State::kHalfOpen;
  return state_;
}

bool Breaker::Allow(absl::Time now) {
  if (state_ == State::kClosed) return true;
  state_ = state(now);
  if (state_ == State::kOpen || probe_out_) return false;
  probe_out_ = true;
  return true;
}

void Breaker::Open(absl::Time now) {
  open_for_ =
      open_for_ == absl::ZeroDuration() ? kFirstOpen : std::min(open_for_ * 2, kLongestOpen);
  open_until_ = now + open_for_;
  state_ = State::kOpen;
  probe_out_ = false;
}

void Breaker::OnSuccess(absl::Time now) {
  // An answer to an old question proves nothing while no probe is out.
  if (state_ != State::kClosed && !probe_out_) return;
  if (state_ != State::kClosed) {
    state_ = State::kClosed;
    open_for_ = absl::ZeroDuration();
    outcomes_.Clear();
  }
  probe_out_ = false;
  failures_in_a_row_ = 0;
  outcomes_.Add(now, 1, 0);
}

void Breaker::OnFailure(absl::Time now) {
  if (state_ != State::kClosed) {
    if (probe_out_) Open(now);
    return;
  }
  ++failures_in_a_row_;
  outcomes_.Add(now, 1, 1);
  const auto outcomes = outcomes_.Total(now);
  if (failures_in_a_row_ >= kFailuresInARow ||
      (outcomes.first >= kLeastOutcomes && outcomes.second * 2 >= outcomes.first)) {
    failures_in_a_row_ = 0;
    outcomes_.Clear();
    Open(now);
  }
}

void WaitShare::Add(absl::Time now, absl::Duration waited, absl::Duration session_time) {
  if (now - last_ > kShareHistory) first_ = now;
  last_ = now;
  time_.Add(now, absl::ToDoubleSeconds(waited), absl::ToDoubleSeconds(session_time));
}

bool WaitShare::Exceeded(absl::Time now) const {
  if (limit_ >= 1 || now - first_ < kShareHistory) return false;
  const auto time = time_.Total(now);
  return time.first > limit_ * time.second;
}

bool ChurnGuard::Suppressed(absl::Time now) const {
  const auto ends = ends_.Total(now);
  return ends.first >= kChurnConnections && ends.second < kChurnDeliveries * ends.first;
}

}  // namespace postern::bridge

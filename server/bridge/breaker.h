// Breaker, WaitShare, ChurnGuard: what keeps sessions safe from a remote provider.
//
// None is synchronised (Provider guards them); all take steady time and own no timer.
#pragma once

#include "absl/time/time.h"
#include "server/bridge/window.h"

namespace postern::bridge {

// Opens after 10 failures in a row, or when half of at least 20 answers in 10 s failed. Open:
// nobody is asked, for 5 s, doubling up to 60 s; then one question tries it.
class Breaker {
 public:
  enum class State { kClosed = 0, kOpen = 1, kHalfOpen = 2 };

  // May a question be sent? True while half open means: this one is the probe, and OnSuccess,
  // OnFailure or OnDropped must follow.
  bool Allow(absl::Time now);
  void OnSuccess(absl::Time now);
  // A timeout or an invalid answer.
  void OnFailure(absl::Time now);
  // The question was cancelled, or its stream went: says nothing about the provider.
  void OnDropped() { probe_out_ = false; }
  State state(absl::Time now) const;

 private:
  void Open(absl::Time now);

  State state_ = State::kClosed;
  absl::Time open_until_;
  absl::Duration open_for_;  // zero until it opened for the first time
  bool probe_out_ = false;
  int failures_in_a_row_ = 0;
  SlidingWindow<10> outcomes_{absl::Seconds(10)};  // all, failed
};

// Share of session time that is spent waiting for one provider, over 10 s. While a provider is
// treated as ASYNC the time that its answers took counts as if it had been waited for, so that it
// recovers when it has become fast and not before.
class WaitShare {
 public:
  explicit WaitShare(double limit) : limit_(limit) {}

  void Add(absl::Time now, absl::Duration waited, absl::Duration session_time);
  // Meaningful only once there are 10 s of history: a first question always is a large share.
  bool Exceeded(absl::Time now) const;

 private:
  const double limit_;
  absl::Time first_ = absl::InfiniteFuture();
  absl::Time last_ = absl::InfinitePast();
  SlidingWindow<10> time_{absl::Seconds(10)};  // waited, session time
};

// Suppressed while at least 20 connections that the provider ended, or would have ended, in the
// last 60 s average under 5 deliveries.
class ChurnGuard {
 public:
  // Once for each connection that the provider says SHUTDOWN to.
  void Add(absl::Time now, double deliveries) { ends_.Add(now, 1, deliveries); }
  bool Suppressed(absl::Time now) const;

 private:
  SlidingWindow<12> ends_{absl::Seconds(60)};  // connections, deliveries
};

}  // namespace postern::bridge

// Watchdog: the one timer of a connection.
//
//   net::Watchdog watchdog(executor, [&stream] { stream.Close(); });
//   watchdog.ExpireAfter(options.mailfrom_timeout);
//   ... I/O ...
//   if (watchdog.expired()) ...  // the error of that I/O is a time-out
//
// A deadline changes with every command and hardly ever passes, so a later one is only a store: the
// timer re-arms itself when it fires early. Only a deadline before the armed one touches the timer.
#pragma once

#include <asio/any_io_executor.hpp>
#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace postern::net {

// Thread: that of the executor.
class Watchdog {
 public:
  // `on_expiry` runs at most once, on the executor, never from within a call of this class, and
  // never after the Watchdog is gone.
  Watchdog(const asio::any_io_executor& executor, std::function<void()> on_expiry);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Sets the deadline, instead of the one before. Infinite: none. Does nothing once expired.
  void ExpireAfter(absl::Duration from_now);
  // No deadline.
  void Clear();

  // The deadline passed and `on_expiry` was called.
  bool expired() const;

 private:
  struct State;
  // Shared with the timer's handler, which may run once more after the Watchdog is gone.
  std::shared_ptr<State> state_;
};

}  // namespace postern::net

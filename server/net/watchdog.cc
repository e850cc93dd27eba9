#include "server/net/watchdog.h"

#include <asio/steady_timer.hpp>
#include <chrono>
#include <utility>

namespace postern::net {
namespace {

using Clock = std::chrono::steady_clock;

// No deadline; far enough, and adding to it does not overflow.
constexpr Clock::time_point kNever = Clock::time_point::max();
constexpr absl::Duration kLongest = absl::Hours(24 * 365);

}  // namespace

struct Watchdog::State : std::enable_shared_from_this<State> {
  State(const asio::any_io_executor& executor, std::function<void()> expiry)
      : timer(executor), on_expiry(std::move(expiry)) {}

  void Arm() {
    armed_for = deadline;
    timer.expires_at(deadline);  // ends a wait under way with operation_aborted
    timer.async_wait([self = shared_from_this()](std::error_code error) {
      if (!error) self->Fired();
    });
  }

  void Fired() {
    armed_for = kNever;
    if (over || deadline == kNever) return;
    if (Clock::now() < deadline) return Arm();
    over = expired = true;
    // It may destroy the Watchdog, and so the function itself.
    const std::function<void()> call = std::move(on_expiry);
    call();
  }

  asio::steady_timer timer;
  std::function<void()> on_expiry;
  Clock::time_point deadline = kNever;
  Clock::time_point armed_for = kNever;  // kNever: no wait is under way
  bool expired = false;
  bool over = false;  // expired, or the Watchdog is gone
};

Watchdog::Watchdog(const asio::any_io_executor& executor, std::function<void()> on_expiry)
    : state_(std::make_shared<State>(executor, std::move(on_expiry))) {}

Watchdog::~Watchdog() {
  state_->over = true;
  state_->on_expiry = nullptr;
  state_->timer.cancel();
}

void Watchdog::ExpireAfter(absl::Duration from_now) {
  if (state_->over) return;
  if (from_now > kLongest) return Clear();
  state_->deadline = Clock::now() + absl::ToChronoNanoseconds(from_now);
  if (state_->deadline < state_->armed_for) state_->Arm();
}

void Watchdog::Clear() { state_->deadline = kNever; }

bool Watchdog::expired() const { return state_->expired; }

}  // namespace postern::net

// FramePump: carries what a subscription has to the client, for Watch and Decide alike.
//
// Everything that is there goes out together; while a write is in flight more collects. Events
// alone, soon after a frame of events, wait up to Limits::linger for company; a frame of any other
// kind ends the wait at once. A heartbeat goes out when nothing else has for Limits::heartbeat.
// A client that does not read leaves the pump inside one write; the bridge bounds what collects.
// Frames stay where they are while other rights are in force than the caller has looked at.
#pragma once

#include <algorithm>
#include <deque>
#include <utility>
#include <variant>

#include "server/bridge/subscriber.h"
#include "server/rpc/access.h"
#include "server/rpc/context.h"
#include "server/rpc/coro.h"
#include "server/rpc/frames.h"
#include "server/rpc/signal.h"

namespace postern::rpc {

// The bridge's word that there is something to take.
class SubscriberWakeup final : public bridge::Subscriber, public Wakeup {
 public:
  using Wakeup::Wakeup;
  void OnReady() override { Notify(); }
};

inline constexpr std::size_t kFrameEvents = 256;
inline constexpr std::size_t kFrameBytes = std::size_t{32} << 10;

// CallType has Write(ByteBuffer).
template <class CallType>
class FramePump {
 public:
  FramePump(CallType& call, StreamKind kind, SubscriberWakeup& wakeup, const MethodGuard& guard,
            const Limits& limits, std::uint64_t epoch)
      : call_(call), kind_(kind), wakeup_(wakeup), guard_(guard), limits_(limits), epoch_(epoch) {}

  // Waits for something to do and does it: writes frames or a heartbeat, or finds the signal set
  // for a reason of the caller's, or that the call must be renewed. False: the client is gone.
  Task<bool> Next(bridge::Subscription& subscription) {
    if (!more_ && frames_.empty()) {
      const absl::Time deadline = last_write_ + limits_.heartbeat;
      const bool woken = co_await wakeup_.signal().WaitUntil(deadline);
      if (call_.done()) co_return false;
      if (!woken) {
        const grpc::ByteBuffer beat = EncodeHeartbeat(kind_, epoch_, subscription.head_sequence());
        co_return co_await Write(beat);
      }
    }
    Take(subscription);
    while (EventsAlone() && Queue::Now() < last_events_ + limits_.linger) {
      const bool woken = co_await wakeup_.signal().WaitUntil(last_events_ + limits_.linger);
      if (call_.done()) co_return false;
      if (!woken) break;
      Take(subscription);
    }
    co_return co_await WriteAll();
  }

  // Writes all that is left, without waiting for more; stops where the call must be renewed.
  Task<bool> Flush(bridge::Subscription& subscription) {
    for (;;) {
      Take(subscription);
      const bool ok = co_await WriteAll();
      if (!ok || !more_ || !guard_.IsCurrent(call_)) co_return ok;
    }
  }

  // No buffer hint, also when more follows: gRPC 1.51 does not complete a hinted write that carries
  // the initial metadata until another write comes, and we write one at a time.
  Task<bool> Write(const grpc::ByteBuffer& frame) {
    const bool ok = co_await call_.Write(frame);
    last_write_ = Queue::Now();
    co_return ok;
  }

 private:
  // Takes what there is; a run of events joins the one before it.
  void Take(bridge::Subscription& subscription) {
    const EventLoad held = frames_.empty() ? EventLoad{} : LoadOf(frames_.back());
    bridge::Taken taken = subscription.Take(kFrameEvents - std::min(held.events, kFrameEvents),
                                            kFrameBytes - std::min(held.bytes, kFrameBytes));
    more_ = taken.more;
    for (bridge::Frame& frame : taken.frames) {
      auto* run = std::get_if<bridge::EventRun>(&frame);
      auto* before = frames_.empty() ? nullptr : std::get_if<bridge::EventRun>(&frames_.back());
      if (run != nullptr && before != nullptr &&
          before->first_position + before->events.size() == run->first_position) {
        std::move(run->events.begin(), run->events.end(), std::back_inserter(before->events));
      } else {
        frames_.push_back(std::move(frame));
      }
    }
  }

  // There are events only, and room for more in their frame.
  bool EventsAlone() const {
    if (more_ || frames_.size() != 1) return false;
    const EventLoad load = LoadOf(frames_.front());
    return load.events > 0 && load.events < kFrameEvents && load.bytes < kFrameBytes;
  }

  Task<bool> WriteAll() {
    while (!frames_.empty() && guard_.IsCurrent(call_)) {
      const bridge::Frame frame = std::move(frames_.front());
      frames_.pop_front();
      const grpc::ByteBuffer encoded = EncodeFrame(kind_, epoch_, frame);
      const bool ok = co_await Write(encoded);
      if (!ok) co_return false;
      if (LoadOf(frame).events > 0) last_events_ = last_write_;
    }
    co_return true;
  }

  CallType& call_;
  const StreamKind kind_;
  SubscriberWakeup& wakeup_;
  const MethodGuard& guard_;
  const Limits& limits_;
  const std::uint64_t epoch_;
  std::deque<bridge::Frame> frames_;
  bool more_ = true;  // the first Take() must be made at once
  absl::Time last_write_ = Queue::Now();
  absl::Time last_events_ = absl::InfinitePast();
};

}  // namespace postern::rpc

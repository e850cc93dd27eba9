// EventBuffer: what one subscription has yet to be sent, within bounds.
//
// When it is full the oldest events go and one Gap takes their place; as it is always the oldest
// that go, the gap stands in front. With acknowledgement, events that were taken count until they
// are acknowledged: what the network took proves nothing about the receiver.
// Not synchronised: Stream guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "server/bridge/event.h"
#include "server/bridge/subscriber.h"

namespace postern::bridge {

class EventBuffer {
 public:
  EventBuffer(std::size_t max_events, std::size_t max_bytes, bool acknowledged);

  // Returns how many events were dropped for it.
  std::uint64_t Push(const Event& event);
  // Events of the ring, in front of everything, beyond the bounds: they are there already, and the
  // bounds hold again as they drain. Before the first Take only; in order.
  void Replay(std::vector<Event> events);

  bool empty() const { return !gap_ && events_.empty(); }
  // Events up to `sequence` have been taken or dropped.
  bool Passed(std::uint64_t sequence) const {
    return events_.empty() || events_.front().sequence > sequence;
  }
  // Everything that could be sent has been, and the receiver has acknowledged too little of it.
  bool stuck() const;

  // Appends frames: the gap, then a run of at most `max_events` events (one at least, if there is
  // any) with up to `max_bytes`. An event without its encoded form gets it now.
  void Take(std::size_t max_events, std::size_t max_bytes, const Encoder& encoder,
            std::vector<Frame>* frames);

  std::uint64_t taken_position() const { return taken_; }
  // INVALID_ARGUMENT when it goes back or ahead of what was taken.
  absl::Status Acknowledge(std::uint64_t position);
  // What the receiver has proved to have read by other means; never goes back.
  void AcknowledgeUpTo(std::uint64_t position);

 private:
  std::size_t used_events() const { return events_.size() + unacknowledged_.size(); }
  bool over() const;

  const std::size_t max_events_, max_bytes_;
  const bool acknowledged_by_receiver_;
  std::deque<Event> events_;
  std::size_t bytes_ = 0;                           // of events_ and unacknowledged_
  std::size_t replay_left_ = 0, replay_bytes_ = 0;  // of events_, from its front: beyond the bounds
  std::optional<Gap> gap_;
  std::uint64_t taken_ = 0;                 // position of the last event taken
  std::uint64_t acknowledged_ = 0;          // <= taken_
  std::deque<std::size_t> unacknowledged_;  // bytes of positions acknowledged_ + 1 .. taken_
};

}  // namespace postern::bridge

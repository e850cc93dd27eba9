// EventRing: the latest events, for subscriptions that resume. In chunks, so that a reader copies a
// few pointers under the publisher's lock and then walks 65,536 events without it.
//
// Not synchronised: Fanout guards it. What View() returned may be read without the guard.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "server/bridge/event.h"

namespace postern::bridge {

class EventRing {
 public:
  // Holds at least the latest `max_events`, and at most a 64th more, none older than `max_age`
  // by more than one chunk's span.
  EventRing(std::size_t max_events, absl::Duration max_age);

  // `now`: steady clock.
  void Push(const Event& event, absl::Time now);
  // Drops what is too old.
  void Expire(absl::Time now);
  void Clear();

  // Sequence of the oldest event; 0: empty.
  std::uint64_t first_sequence() const;

  // Part of a chunk: its first `size` events, which never change again.
  struct Span {
    std::shared_ptr<const std::vector<Event>> events;
    std::size_t size = 0;
  };
  // The events behind `sequence`; the first span may hold earlier ones, too.
  std::vector<Span> View(std::uint64_t sequence) const;

 private:
  struct Chunk {
    std::shared_ptr<std::vector<Event>> events;  // reserved: never moves its elements
    absl::Time last;
  };

  const std::size_t max_events_;
  const absl::Duration max_age_;
  const std::size_t chunk_events_;
  std::deque<Chunk> chunks_;  // none is empty
  std::size_t size_ = 0;
};

}  // namespace postern::bridge

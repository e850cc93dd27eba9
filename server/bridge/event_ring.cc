#include "server/bridge/event_ring.h"

#include <algorithm>

namespace postern::bridge {

EventRing::EventRing(std::size_t max_events, absl::Duration max_age)
    : max_events_(max_events),
      max_age_(max_age),
      chunk_events_(std::max<std::size_t>(1, max_events / 64)) {}

void EventRing::Push(const Event& event, absl::Time now) {
  if (max_events_ == 0) return;
  if (chunks_.empty() || chunks_.back().events->size() == chunk_events_) {
    Expire(now);
    chunks_.push_back({std::make_shared<std::vector<Event>>(), now});
    chunks_.back().events->reserve(chunk_events_);
  }
  chunks_.back().events->push_back(event);
  chunks_.back().last = now;
  ++size_;
  while (size_ - chunks_.front().events->size() >= max_events_) {
    size_ -= chunks_.front().events->size();
    chunks_.pop_front();
  }
}

void EventRing::Expire(absl::Time now) {
  while (!chunks_.empty() && now - chunks_.front().last > max_age_) {
    size_ -= chunks_.front().events->size();
    chunks_.pop_front();
  }
}

void EventRing::Clear() {
  chunks_.clear();
  size_ = 0;
}

std::uint64_t EventRing::first_sequence() const {
  return chunks_.empty() ? 0 : chunks_.front().events->front().sequence;
}

std::vector<EventRing::Span> EventRing::View(std::uint64_t sequence) const {
  std::vector<Span> spans;
  for (const Chunk& chunk : chunks_) {
    if (chunk.events->back().sequence <= sequence) continue;
    spans.push_back({chunk.events, chunk.events->size()});
  }
  return spans;
}

}  // namespace postern::bridge

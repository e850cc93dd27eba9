#include "server/bridge/event_buffer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace postern::bridge {
namespace {

// What an event costs here beyond its encoded form, which the others share.
constexpr std::size_t kOverheadBytes = 64;

std::size_t Cost(const Event& event) {
  return kOverheadBytes + (event.encoded ? event.encoded->size() : 0);
}

}  // namespace

EventBuffer::EventBuffer(std::size_t max_events, std::size_t max_bytes, bool acknowledged)
    : max_events_(max_events), max_bytes_(max_bytes), acknowledged_by_receiver_(acknowledged) {}

bool EventBuffer::over() const {
  return used_events() > max_events_ + replay_left_ || bytes_ > max_bytes_ + replay_bytes_;
}

std::uint64_t EventBuffer::Push(const Event& event) {
  events_.push_back(event);
  bytes_ += Cost(event);
  std::uint64_t dropped = 0;
  while (over() && !events_.empty()) {
    const Event& oldest = events_.front();
    if (!gap_) {
      gap_.emplace();
      gap_->first_lost = oldest.sequence;
    }
    ++gap_->lost;
    gap_->last_lost = oldest.sequence;
    ++dropped;
    const std::size_t cost = Cost(oldest);
    bytes_ -= cost;
    if (replay_left_ > 0) {
      --replay_left_;
      replay_bytes_ -= cost;
    }
    events_.pop_front();
  }
  return dropped;
}

void EventBuffer::Replay(std::vector<Event> events) {
  for (const Event& event : events) replay_bytes_ += Cost(event);
  replay_left_ = events.size();
  bytes_ += replay_bytes_;
  events_.insert(events_.begin(), std::make_move_iterator(events.begin()),
                 std::make_move_iterator(events.end()));
}

bool EventBuffer::stuck() const {
  return acknowledged_by_receiver_ && events_.empty() &&
         (unacknowledged_.size() >= max_events_ || bytes_ >= max_bytes_);
}

void EventBuffer::Take(std::size_t max_events, std::size_t max_bytes, const Encoder& encoder,
                       std::vector<Frame>* frames) {
  if (gap_) frames->push_back(*gap_);
  gap_.reset();
  if (events_.empty()) return;
  EventRun run;
  run.first_position = taken_ + 1;
  std::size_t run_bytes = 0;
  while (!events_.empty() && run.events.size() < std::max<std::size_t>(max_events, 1)) {
    Event& event = events_.front();
    const std::size_t cost = Cost(event);
    if (!event.encoded) {
      event.encoded =
          std::make_shared<const std::string>(encoder ? encoder(*event.data) : std::string());
    }
    if (!run.events.empty() && run_bytes + event.encoded->size() > max_bytes) {
      // It has its encoded form now: what it costs must be what is taken off later.
      bytes_ += Cost(event) - cost;
      if (replay_left_ > 0) replay_bytes_ += Cost(event) - cost;
      break;
    }
    run_bytes += event.encoded->size();
    bytes_ -= cost;
    if (replay_left_ > 0) {
      --replay_left_;
      replay_bytes_ -= cost;
    }
    ++taken_;
    if (acknowledged_by_receiver_) {
      unacknowledged_.push_back(Cost(event));
      bytes_ += Cost(event);
    } else {
      acknowledged_ = taken_;
    }
    run.events.push_back(std::move(event));
    events_.pop_front();
  }
  frames->push_back(std::move(run));
}

absl::Status EventBuffer::Acknowledge(std::uint64_t position) {
  if (position > taken_) {
    return absl::InvalidArgumentError(
        absl::StrCat("acknowledge.position: ", position, " was not sent yet"));
  }
  // An answer may have acknowledged more already: only the client's own word must not go back, and
  // that is for its stream to know.
  AcknowledgeUpTo(position);
  return absl::OkStatus();
}

void EventBuffer::AcknowledgeUpTo(std::uint64_t position) {
  for (; acknowledged_ < position && !unacknowledged_.empty(); ++acknowledged_) {
    bytes_ -= unacknowledged_.front();
    unacknowledged_.pop_front();
  }
}

}  // namespace postern::bridge

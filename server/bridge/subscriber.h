// Subscriber and Subscription: the two ends of a stream between the bridge and rpc.
//
//   class Stream : public bridge::Subscriber {
//     void OnReady() override { /* wake the writer */ }
//   };
//   auto watch = bridge.Watch(request, stream);
//   ...
//   Taken taken = (*watch)->Take(256, 32 << 10);   // on rpc's thread, whenever a write is free
//   for (Frame& frame : taken.frames) Write(frame);
//   // taken.more: Take again after this write. Else: OnReady will come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/bridge/event.h"
#include "server/bridge/filter.h"
#include "server/bridge/question.h"

namespace postern::bridge {

// Consecutive events; their positions follow each other without holes.
struct EventRun {
  std::uint64_t first_position = 1;
  std::vector<Event> events;
};

// The values of the enum GapCause in hooks.proto.
enum class GapCause : std::uint8_t {
  kBufferFull = 1,
  kRingExceeded = 2,
  kNotRecorded = 3,
  kNewEpoch = 4,
};

// Events were lost to this subscription, here.
struct Gap {
  std::uint64_t lost = 0;  // events that matched; 0: not known
  std::uint64_t first_lost = 0;
  std::uint64_t last_lost = 0;  // sequences; 0: not known
  GapCause cause = GapCause::kBufferFull;
};

// The connections that were open and matched. Events up to head_sequence are contained.
struct Snapshot {
  struct Entry {
    std::shared_ptr<const mail::ConnectionInfo> connection;
    absl::Duration age;
    std::uint64_t deliveries = 0;
    std::uint64_t attempts = 0;
  };
  std::uint64_t head_sequence = 0;
  std::vector<Entry> connections;
};

struct Draining {
  absl::Duration time_left;
};

using Questions = std::vector<Question>;            // at most 256
using VerdictResults = std::vector<VerdictResult>;  // at most 256

// What one write can carry. A Watch yields EventRun, Gap, Snapshot and Draining only.
using Frame =
    std::variant<EventRun, Gap, Snapshot, Draining, Questions, QuestionCancelled, VerdictResults>;

struct Taken {
  std::vector<Frame> frames;  // to be written in this order
  bool more = false;          // there is more to Take() now; OnReady will not say so
};

class Subscriber {
 public:
  virtual ~Subscriber() = default;
  // There is something to Take(). Called at most once until a Take() returned without `more`, and
  // never before the first Take(). From any thread, also from within calls of the subscription (but
  // Take), with no lock of the bridge held. Only hand over: it runs on threads that own sessions.
  virtual void OnReady() = 0;
};

// One stream's end. Destroying it ends the subscription; an OnReady that is under way then may
// still be running, so the bridge holds the Subscriber by shared_ptr. Thread: any; the bridge
// outlives it.
class Subscription {
 public:
  virtual ~Subscription() = default;

  // What is there, in the order in which it is to be written: farewells, results, cancellations and
  // questions go ahead of events, but a question never overtakes the post_initiate event of its own
  // connection. At most `max_events` events with together at most `max_bytes` encoded bytes (one
  // event always fits). Must be called once at the start.
  virtual Taken Take(std::size_t max_events, std::size_t max_bytes) = 0;

  // Latest sequence of the process, for heartbeats.
  virtual std::uint64_t head_sequence() const = 0;
};

}  // namespace postern::bridge

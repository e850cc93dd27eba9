// Stream: the bridge's side of one Watch or Decide stream: what waits to be written to it, in which
// order, and which questions it holds.
//
// Thread: any; its lock is the innermost one and held for a few pointer moves. Whoever makes
// something ready gets the Subscriber to tell into `Notifications`, and tells it without any lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/bridge/bridge.h"
#include "server/bridge/event_buffer.h"

namespace postern::bridge {

class Provider;

using Notifications = absl::InlinedVector<std::shared_ptr<Subscriber>, 4>;
inline void Notify(Notifications& notifications) {
  for (const auto& subscriber : notifications) subscriber->OnReady();
  notifications.clear();
}

// What is counted of the streams of one client.
struct StreamCounts {
  base::Gauge* open = nullptr;
  base::Counter* dropped = nullptr;
  base::Counter* gaps = nullptr;
};

// What never changes of a stream.
struct StreamSpec {
  std::uint64_t id = 0;
  KindSet kinds;
  std::shared_ptr<const Matcher> matcher;  // never null; its rules for scopes share it
  const StreamCounts* counts = nullptr;
  // Of a Decide stream; null for a Watch.
  std::shared_ptr<Provider> provider;
  std::string provider_id;
  std::string identity;  // who attached it
  AskMode ask = AskMode::kSync;
  bool shadow = false;
  int priority = 0;
  absl::Duration timeout;  // as asked for; 0: as long as it may (DefaultTable::TimeoutFor)
  std::optional<DefaultVerdict> default_verdict;
};

class Stream {
 public:
  Stream(StreamSpec spec, const PolicyOptions& options, const base::Clock& clock,
         const Encoder& encoder, std::shared_ptr<Subscriber> subscriber);

  const StreamSpec& spec() const { return spec_; }
  // The generation of the routes that it came with (Fanout::Add, before anybody else sees it).
  std::uint64_t joined() const { return joined_; }
  void SetJoined(std::uint64_t generation) { joined_ = generation; }

  // Returns how many events were dropped.
  std::uint64_t Push(const Event& event, Notifications* notify);
  // Before the first Take: events of the ring, and what is missing before them.
  void Replay(std::vector<Event> events, std::optional<Gap> gap);
  void SetSnapshot(Snapshot snapshot);
  void Drain(absl::Time deadline, Notifications* notify);

  enum class Sent { kSent, kClosed, kOverload };
  // Queues a question behind the event `after_sequence`. `open`: it stays this stream's until
  // Forget, Cancel or Close; else (ASYNC) it is only told.
  Sent Ask(Question question, std::uint64_t after_sequence, bool open, Notifications* notify);
  // The question was answered (which proves that the client has read what came before it), or took
  // its default: it is not sent any more if it has not been yet.
  void Forget(const base::Id& connection, std::uint32_t number, bool answered);
  // The same, and tells a client that has seen the question.
  void Cancel(const base::Id& connection, std::uint32_t number, CancelCause cause,
              Notifications* notify);
  // False when nothing more can be sent to this client for want of acknowledgement.
  bool Stuck() const;

  // False: used already among the last 65,536.
  bool RememberVerdict(std::uint64_t verdict_id);
  void AddResult(VerdictResult result, Notifications* notify);
  std::size_t pending_results() const;

  absl::Status Acknowledge(std::uint64_t position);
  Taken Take(std::size_t max_events, std::size_t max_bytes);

  using QuestionKey = std::pair<base::Id, std::uint32_t>;
  // Ends the stream for events and questions and returns those that are open. Twice: nothing.
  std::vector<QuestionKey> Close();
  // The session's end: the Subscriber is let go of and told nothing any more, however long some
  // part of the bridge still holds the stream.
  void Release();
  bool closed() const { return closed_.load(std::memory_order_acquire); }

 private:
  struct Waiting {
    Question question;
    std::uint64_t after_sequence = 0;
    bool open = true;
  };
  struct Open {
    bool taken = false;
    std::uint64_t position = 0;  // of the last event taken before it
  };

  void MadeReady(Notifications* notify) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TakeUrgent(std::vector<Frame>* frames) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // True when it had to leave a question behind because of the events before it.
  bool TakeQuestions(std::vector<Frame>* frames) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const StreamSpec spec_;
  const std::size_t max_questions_;
  const base::Clock& clock_;
  const Encoder& encoder_;
  std::uint64_t joined_ = 0;
  std::atomic<bool> closed_{false};  // set under mu_

  mutable base::Mutex mu_;
  std::shared_ptr<Subscriber> subscriber_ ABSL_GUARDED_BY(mu_);  // null once released
  bool armed_ ABSL_GUARDED_BY(mu_) = false;  // OnReady is due when something becomes ready
  EventBuffer buffer_ ABSL_GUARDED_BY(mu_);
  std::uint64_t acknowledged_ ABSL_GUARDED_BY(mu_) = 0;  // the client's own word
  std::optional<Gap> first_gap_ ABSL_GUARDED_BY(mu_);    // what could not be replayed
  std::optional<Snapshot> snapshot_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Time> drain_ ABSL_GUARDED_BY(mu_);
  std::deque<VerdictResult> results_ ABSL_GUARDED_BY(mu_);
  std::deque<QuestionCancelled> cancelled_ ABSL_GUARDED_BY(mu_);
  std::deque<Waiting> questions_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<QuestionKey, Open> open_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::uint64_t> verdict_ids_ ABSL_GUARDED_BY(mu_);
  std::vector<std::uint64_t> verdict_order_ ABSL_GUARDED_BY(mu_);  // a ring once it is full
  std::size_t verdict_next_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace postern::bridge

// ConnectionTable: the open connections, each with its question and what stands for it.
//
// In shards, each with a lock of its own: sessions of different threads hardly ever meet, and a
// verdict locks one connection's shard only.
// Thread: any; what hangs on a Connection is touched under its shard's lock only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/base/mutex.h"
#include "server/bridge/provider.h"
#include "server/bridge/stream.h"

namespace postern::bridge {

// A provider's word on a whole connection.
struct Standing {
  Decision decision = Decision::kKeep;  // kKeep or kShutdown
  std::uint64_t after_deliveries = 0;
  absl::Duration after_age = absl::InfiniteDuration();
  // Of a recycling rule: it ends each connection once, so the churn guard has nothing to stop.
  bool recycles = false;
  Then then;
  std::string reason;

  // It may become due without a transaction.
  bool ages() const {
    return decision == Decision::kShutdown && after_age != absl::InfiniteDuration();
  }
  // For kShutdown: is it time?
  bool Due(std::uint64_t deliveries, absl::Duration age) const {
    if (after_deliveries == 0 && after_age == absl::InfiniteDuration()) return true;
    return (after_deliveries > 0 && deliveries >= after_deliveries) || age >= after_age;
  }
};

// One provider's share of a question.
struct Part {
  enum class State { kOpen, kAnswered, kDefaulted, kCancelled };

  ProviderPtr provider;
  std::shared_ptr<Stream> stream;  // null: nobody is attached
  State state = State::kOpen;
  absl::Time deadline;
  absl::Time closed_at;
  Decision decision = Decision::kUnspecified;  // when answered or defaulted
  DecisionSource source = DecisionSource::kNone;
  DefaultCause cause = DefaultCause::kTimeout;
  bool suppressed = false;   // by the churn guard: its SHUTDOWN does not count
  bool holds_place = false;  // among the provider's open questions: it was sent and is waited for
  bool tell = false;         // ASYNC: the question is sent, but not waited for
  Then then;
  std::string reason;

  bool shuts_down() const {
    return (state == State::kAnswered || state == State::kDefaulted) &&
           decision == Decision::kShutdown && !suppressed;
  }
  int priority() const { return stream ? stream->spec().priority : 0; }
};

// A call of the chain, from Ask() to the next Ask(): verdicts that come after its end must be told
// apart. Answered exactly once: closed never becomes false again.
struct PendingQuestion {
  std::uint64_t id = 0;
  std::uint32_t number = 0;
  std::vector<Part> parts;
  std::function<void()> wake;  // empty: nobody waits (any more)
  absl::Time asked_at, deadline, closed_at;
  bool closed = false;
  bool settled = false;

  Part* Find(const Provider* provider);
};

// What the bridge remembers of one provider for one connection.
struct ProviderState {
  // Questions that were told and not waited for, all to one stream, and the answer that waits for
  // the next boundary.
  struct Async {
    static constexpr std::size_t kMostOpen = 128;

    struct Told {
      std::uint32_t number = 0;
      absl::Time asked_at;
    };
    std::shared_ptr<Stream> stream;
    std::vector<Told> open;    // not answered yet, in order; of more than kMostOpen the latest
    std::uint32_t latest = 0;  // the number of the last one
    bool forced = false;       // the client asked for SYNC; until the latest one is accounted for
    absl::Time asked_at;       // the latest one
    absl::Time answered_at = absl::InfiniteFuture();  // the same
    Decision answer = Decision::kUnspecified;         // to any of them
    Then then;
    std::string reason;

    // Was this one told, and if not answered: not too long ago?
    bool Knows(std::uint32_t number) const;
  };

  // The latest question that a stream in shadow mode was told.
  struct Shadow {
    std::uint32_t number = 0;
    std::uint64_t stream = 0;  // StreamSpec::id
    absl::Time asked_at;
    Decision answer = Decision::kUnspecified;
    std::optional<bool> effective;  // what was decided without it: true is SHUTDOWN
    bool over = false;              // compared and counted
  };

  ProviderPtr provider;
  std::optional<Standing> standing;
  std::optional<Async> async;
  std::optional<Shadow> shadow;
  bool said_shutdown = false;                         // counted by the churn guard
  absl::Time accounted_until = absl::InfinitePast();  // session time, for the wait share
};

// How the latest question ended, for the verdict event.
struct LastDecision {
  std::uint32_t number = 0;  // 0: nobody was asked
  DecisionSource source = DecisionSource::kNone;
  DefaultCause cause = DefaultCause::kTimeout;
  std::string provider, reason;
  absl::Duration waited;
};

struct Connection {
  std::shared_ptr<const mail::ConnectionInfo> info;
  absl::Time opened;               // steady
  std::uint64_t opened_among = 0;  // Fanout::generation() at that time
  std::uint64_t deliveries = 0;
  std::uint64_t attempts = 0;
  std::uint64_t initiate_sequence = 0;  // of its post_initiate event; 0: not published
  std::uint32_t last_number = 0;
  std::unique_ptr<PendingQuestion> question;
  std::vector<ProviderState> providers;
  bool told_to_end = false;              // by QuestionDesk::EndAged, once until it asks
  std::array<absl::Time, 4> closings{};  // of question n at [n % 4], for "how late"
  LastDecision last;

  // Made now if there is none.
  ProviderState& StateOf(const ProviderPtr& provider);
  // What the provider said about the connection as a whole; null: nothing.
  const Standing* StandingOf(const Provider* provider) const;
};

class ConnectionTable {
 public:
  struct Shard {
    base::Mutex mu;
    absl::flat_hash_map<base::Id, std::unique_ptr<Connection>> connections ABSL_GUARDED_BY(mu);

    Connection* Find(const base::Id& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
    // Adds the connection if it is new: opened now, in this generation of the routes.
    Connection& Ensure(const mail::ConnectionInfo& info, absl::Time now, std::uint64_t generation)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  };

  Shard& ShardOf(const base::Id& id) {
    return shards_[absl::Hash<base::Id>{}(id) % shards_.size()];
  }

  std::array<Shard, 64>& shards() { return shards_; }

  // Those that `matcher` matches, in no order.
  std::vector<Snapshot::Entry> List(const Matcher& matcher, absl::Time now);

 private:
  std::array<Shard, 64> shards_;
};

}  // namespace postern::bridge

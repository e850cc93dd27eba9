// Fanout: every event, to every stream that wants it, in one order; and the ring behind it.
//
// With nobody there an event costs a few relaxed atomic operations. Else it is matched (a cached
// answer per pair), encoded once if anyone wants it, and then, under the publisher's lock,
// numbered, recorded and pushed to each stream. Thread: any. Locks: mu_, then routes_mu_ or a
// stream's; nothing of it is called under mu_.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/base/mutex.h"
#include "server/bridge/event_ring.h"
#include "server/bridge/provider.h"
#include "server/bridge/stream.h"

namespace postern::bridge {

using StreamPtr = std::shared_ptr<Stream>;

// The streams that are about one pair. Immutable.
struct Match {
  // Of one provider.
  struct Replicas {
    ProviderPtr provider;
    std::vector<StreamPtr> streams;  // whose verdicts count
    std::vector<StreamPtr> shadows;  // asked beside them, as if they were not there
    // Expected, but nobody is attached whose verdicts count: a default stands in.
    bool missing = false;
  };
  std::uint64_t generation = 0;
  std::vector<StreamPtr> watches;
  std::vector<Replicas> providers;
  KindSet kinds;  // that any of them wants

  const Replicas* Find(const Provider* provider) const;
};

// Which of these streams a connection sticks to that was opened in this generation of the routes;
// null when there is none. Of those that were there by then one, by rendezvous hash: it changes
// only when that one goes. When none of them is left: the one that joined first, which is no even
// share, but no stream that joins takes a connection from one that is there.
const StreamPtr* OwnerOf(const std::vector<StreamPtr>& streams, const base::Id& connection,
                         std::uint64_t opened);

class Fanout {
 public:
  Fanout(const PolicyOptions& options, const ProviderTable& providers, const base::Clock& clock,
         base::Registry& registry, const Encoder& encoder);

  // Counts an event of this kind. False: nobody is there, and it is over with that.
  bool Raise(EventKind kind);
  // The generation of the routes now: what OwnerOf() must know of a connection that is opened now.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  // Publishes an event that was raised, of a connection that was opened in the generation `opened`;
  // returns its sequence.
  std::uint64_t Publish(EventData data, std::uint64_t opened);

  std::shared_ptr<const Match> MatchFor(const mail::PairKey& pair);

  // Adds a stream; from here on it gets events. RESOURCE_EXHAUSTED names the limit.
  // `after`: what was recorded behind it is replayed. *need_snapshot: the epoch differs.
  // Returns the head sequence at that point.
  absl::StatusOr<std::uint64_t> Add(const StreamPtr& stream, std::optional<Cursor> after,
                                    bool* need_snapshot);
  // Would one more stream of the provider be within the limits? `provider` null: of a new one.
  absl::Status CheckRoom(const Provider* provider) const;
  void Remove(const StreamPtr& stream);
  std::vector<StreamPtr> StreamsOf(const Provider* provider) const;
  void Drain(absl::Time deadline);
  // The providers that are expected have changed.
  void Rerouted();

  // What is counted for a client's streams: its provider's name or its identity. `mode`:
  // kModeNames, "" for a watch. Those beyond 256 clients are "other" together. As long-lived as
  // this.
  const StreamCounts& CountsFor(const char* kind, const char* mode, const std::string& client);
  std::uint64_t epoch() const { return epoch_; }
  std::uint64_t head_sequence() const { return sequence_.load(std::memory_order_relaxed); }

 private:
  absl::Status CheckLimits(const Provider* provider) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(routes_mu_);
  std::shared_ptr<const Match> MakeMatch(const mail::PairKey& pair) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(routes_mu_);
  void ReroutedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(routes_mu_);
  void Push(const Match& match, const Event& event, EventKind kind, std::uint64_t opened,
            Notifications* notify) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StopRecordingIfUnused(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<Gap> GapAfter(std::uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const PolicyOptions& options_;
  const ProviderTable& providers_;
  const base::Clock& clock_;
  const Encoder& encoder_;
  const std::uint64_t epoch_;
  std::array<base::Counter*, kEventKindCount> events_{};
  base::Registry& registry_;

  base::Mutex counts_mu_;
  std::map<std::tuple<std::string, std::string, std::string>, StreamCounts> counts_
      ABSL_GUARDED_BY(counts_mu_);  // [kind, mode, client]

  std::atomic<bool> active_{false};  // there is a stream, or the ring records; changed under mu_
  std::atomic<std::uint64_t> sequence_{0};  // under mu_ while active_

  base::Mutex mu_;
  EventRing ring_ ABSL_GUARDED_BY(mu_);
  std::uint64_t recorded_from_ ABSL_GUARDED_BY(mu_) = 1;  // the ring saw everything from here on
  std::size_t stream_count_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time last_stream_ended_ ABSL_GUARDED_BY(mu_);

  mutable base::Mutex routes_mu_;
  std::atomic<std::uint64_t> generation_{1};  // of streams_; changed under routes_mu_
  std::vector<StreamPtr> streams_ ABSL_GUARDED_BY(routes_mu_);
  std::optional<absl::Time> drain_ ABSL_GUARDED_BY(routes_mu_);
  absl::flat_hash_map<mail::PairKey, std::shared_ptr<const Match>> cache_
      ABSL_GUARDED_BY(routes_mu_);
};

}  // namespace postern::bridge

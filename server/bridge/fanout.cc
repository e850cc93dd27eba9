#include "server/bridge/fanout.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"

namespace postern::bridge {
namespace {

// Beyond so many pairs the cache starts again: it must not outgrow what it saves.
constexpr std::size_t kMaxCachedPairs = 100'000;
// Series of metrics for clients; names of identities may come from certificates.
constexpr std::size_t kMaxCountedClients = 256;

}  // namespace

const Match::Replicas* Match::Find(const Provider* provider) const {
  for (const Replicas& replicas : providers) {
    if (replicas.provider.get() == provider) return &replicas;
  }
  return nullptr;
}

const StreamPtr* OwnerOf(const std::vector<StreamPtr>& streams, const base::Id& connection,
                         std::uint64_t opened) {
  if (streams.size() == 1) return &streams.front();
  const StreamPtr* owner = nullptr;
  const StreamPtr* first = nullptr;
  std::size_t highest = 0;
  for (const StreamPtr& stream : streams) {
    if (first == nullptr || stream->joined() < (*first)->joined()) first = &stream;
    if (stream->joined() > opened) continue;
    const std::size_t weight = absl::HashOf(connection, stream->spec().id);
    if (owner == nullptr || weight > highest) {
      owner = &stream;
      highest = weight;
    }
  }
  return owner != nullptr ? owner : first;
}

Fanout::Fanout(const PolicyOptions& options, const ProviderTable& providers,
               const base::Clock& clock, base::Registry& registry, const Encoder& encoder)
    : options_(options),
      providers_(providers),
      clock_(clock),
      encoder_(encoder),
      epoch_(base::RandomUint64() | 1),  // 0 would read as "not set"
      registry_(registry),
      ring_(options.ring_events, options.ring_age) {
  for (std::size_t i = 0; i < events_.size(); ++i) {
    events_[i] = &registry.AddCounter("postern_events_total", "Events raised, by kind.",
                                      {{"kind", std::string(Name(static_cast<EventKind>(i)))}});
  }
}

const StreamCounts& Fanout::CountsFor(const char* kind, const char* mode,
                                      const std::string& client) {
  base::MutexLock lock(counts_mu_);
  std::tuple<std::string, std::string, std::string> key(kind, mode, client);
  if (counts_.size() >= kMaxCountedClients && !counts_.contains(key)) {
    std::get<2>(key) = "other";
  }
  StreamCounts& counts = counts_[key];
  if (counts.open != nullptr) return counts;
  const base::Labels labels = {{"kind", kind}, {"mode", mode}, {"client", std::get<2>(key)}};
  counts.open = &registry_.AddGauge("postern_policy_streams",
                                    "Streams that are open, by kind, mode and client.", labels);
  counts.dropped =
      &registry_.AddCounter("postern_events_dropped_total",
                            "Events lost to a subscription that reads too slowly.", labels);
  counts.gaps = &registry_.AddCounter("postern_event_gaps_total",
                                      "Gaps that subscriptions were told of.", labels);
  return counts;
}

bool Fanout::Raise(EventKind kind) {
  events_[static_cast<std::size_t>(kind)]->Add();
  if (active_.load(std::memory_order_relaxed)) return true;
  sequence_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

std::uint64_t Fanout::Publish(EventData data, std::uint64_t opened) {
  const EventKind kind = data.kind();
  const mail::PairKey& pair = *data.connection->pair;
  Event event;
  event.data = std::make_shared<const EventData>(std::move(data));
  std::shared_ptr<const Match> match = MatchFor(pair);
  const auto encode = [this, &event] {
    event.encoded =
        std::make_shared<const std::string>(encoder_ ? encoder_(*event.data) : std::string());
  };
  if (match->kinds.Has(kind)) encode();
  Notifications notify;
  {
    base::MutexLock lock(mu_);
    // A stream that was added since then counts on every event from its start on.
    if (match->generation != generation_.load(std::memory_order_acquire)) {
      match = MatchFor(pair);
      if (match->kinds.Has(kind) && !event.encoded) encode();
    }
    event.sequence = sequence_.fetch_add(1, std::memory_order_relaxed) + 1;
    const absl::Time now = clock_.Steady();
    if (stream_count_ == 0) StopRecordingIfUnused(now);
    if (active_.load(std::memory_order_relaxed)) ring_.Push(event, now);
    Push(*match, event, kind, opened, &notify);
  }
  Notify(notify);
  return event.sequence;
}

void Fanout::Push(const Match& match, const Event& event, EventKind kind, std::uint64_t opened,
                  Notifications* notify) {
  const auto push = [&](const StreamPtr& stream) {
    if (!stream->spec().kinds.Has(kind)) return;
    const std::uint64_t dropped = stream->Push(event, notify);
    if (dropped > 0) stream->spec().counts->dropped->Add(dropped);
    if (Provider* provider = stream->spec().provider.get()) {
      provider->CountEvent(dropped, stream->spec().shadow);
    }
  };
  for (const StreamPtr& stream : match.watches) push(stream);
  for (const Match::Replicas& replicas : match.providers) {
    for (const auto* streams : {&replicas.streams, &replicas.shadows}) {
      const StreamPtr* owner = OwnerOf(*streams, event.data->connection->id, opened);
      if (owner != nullptr) push(*owner);
    }
  }
}

void Fanout::StopRecordingIfUnused(absl::Time now) {
  if (now - last_stream_ended_ < options_.ring_age) return;
  ring_.Clear();
  active_.store(false, std::memory_order_relaxed);
}

std::shared_ptr<const Match> Fanout::MakeMatch(const mail::PairKey& pair) const {
  auto match = std::make_shared<Match>();
  match->generation = generation_.load(std::memory_order_relaxed);
  const auto replicas_of = [&match](const ProviderPtr& provider) -> Match::Replicas& {
    for (Match::Replicas& replicas : match->providers) {
      if (replicas.provider == provider) return replicas;
    }
    match->providers.emplace_back().provider = provider;
    return match->providers.back();
  };
  std::vector<const Provider*> attached;
  for (const StreamPtr& stream : streams_) {
    const StreamSpec& spec = stream->spec();
    if (spec.provider != nullptr && !spec.shadow) attached.push_back(spec.provider.get());
    if (!spec.matcher->Matches(pair.domain, pair.binding)) continue;
    for (int i = 0; i < kEventKindCount; ++i) {
      const auto kind = static_cast<EventKind>(i);
      if (spec.kinds.Has(kind)) match->kinds = match->kinds.With(kind);
    }
    if (spec.provider == nullptr) {
      match->watches.push_back(stream);
      continue;
    }
    Match::Replicas& replicas = replicas_of(spec.provider);
    (spec.shadow ? replicas.shadows : replicas.streams).push_back(stream);
  }
  // An attached provider whose filter does not match has said that the pair is none of its
  // business.
  for (const ProviderPtr& provider : providers_.expected()) {
    if (std::find(attached.begin(), attached.end(), provider.get()) == attached.end()) {
      replicas_of(provider).missing = true;
    }
  }
  return match;
}

std::shared_ptr<const Match> Fanout::MatchFor(const mail::PairKey& pair) {
  base::MutexLock lock(routes_mu_);
  const auto it = cache_.find(pair);
  if (it != cache_.end()) return it->second;
  if (cache_.size() >= kMaxCachedPairs) cache_.clear();
  auto match = MakeMatch(pair);
  cache_.emplace(pair, match);
  return match;
}

void Fanout::ReroutedLocked() {
  cache_.clear();
  generation_.fetch_add(1, std::memory_order_release);
}

void Fanout::Rerouted() {
  base::MutexLock lock(routes_mu_);
  ReroutedLocked();
}

absl::Status Fanout::CheckRoom(const Provider* provider) const {
  base::MutexLock lock(routes_mu_);
  return CheckLimits(provider);
}

absl::Status Fanout::CheckLimits(const Provider* provider) const {
  if (streams_.size() >= options_.max_streams) {
    return absl::ResourceExhaustedError(
        absl::StrCat("policy.max_streams: ", options_.max_streams, " streams are open"));
  }
  if (provider == nullptr) return absl::OkStatus();
  const auto replicas = std::count_if(streams_.begin(), streams_.end(), [provider](const auto& s) {
    return s->spec().provider.get() == provider;
  });
  if (static_cast<std::size_t>(replicas) >= options_.max_streams_per_provider) {
    return absl::ResourceExhaustedError(
        absl::StrCat("provider: ", replicas, " streams are attached under this name"));
  }
  return absl::OkStatus();
}

std::optional<Gap> Fanout::GapAfter(std::uint64_t sequence) const {
  const std::uint64_t head = sequence_.load(std::memory_order_relaxed);
  if (sequence >= head) return std::nullopt;
  const std::uint64_t first = ring_.first_sequence() != 0 ? ring_.first_sequence() : head + 1;
  if (first <= sequence + 1) return std::nullopt;
  Gap gap;
  gap.first_lost = sequence + 1;
  gap.last_lost = first - 1;
  gap.cause = recorded_from_ > sequence + 1 ? GapCause::kNotRecorded : GapCause::kRingExceeded;
  return gap;
}

absl::StatusOr<std::uint64_t> Fanout::Add(const StreamPtr& stream, std::optional<Cursor> after,
                                          bool* need_snapshot) {
  std::vector<EventRing::Span> recorded;
  std::optional<Gap> gap;
  std::uint64_t head = 0;
  Notifications nobody;  // the stream is not armed before its first Take
  {
    base::MutexLock lock(mu_);
    const absl::Time now = clock_.Steady();
    if (stream_count_ == 0 && active_.load(std::memory_order_relaxed)) StopRecordingIfUnused(now);
    {
      base::MutexLock routes_lock(routes_mu_);
      const Provider* provider = stream->spec().provider.get();
      if (absl::Status status = CheckLimits(provider); !status.ok()) return status;
      stream->SetJoined(generation_.load(std::memory_order_relaxed) + 1);
      streams_.push_back(stream);
      if (drain_) stream->Drain(*drain_, &nobody);
      ReroutedLocked();
    }
    head = sequence_.load(std::memory_order_relaxed);
    if (!active_.load(std::memory_order_relaxed)) {
      recorded_from_ = head + 1;
      active_.store(true, std::memory_order_relaxed);
    }
    ++stream_count_;
    ring_.Expire(now);
    if (after && after->epoch != epoch_) {
      gap.emplace();
      gap->cause = GapCause::kNewEpoch;
      *need_snapshot = true;
    } else if (after) {
      gap = GapAfter(after->sequence);
      recorded = ring_.View(after->sequence);
    }
  }
  const StreamSpec& spec = stream->spec();
  spec.counts->open->Add(1);
  std::vector<Event> replay;
  for (const EventRing::Span& span : recorded) {
    for (std::size_t i = 0; i < span.size; ++i) {
      const Event& event = span.events->data()[i];
      const mail::PairKey& pair = *event.data->connection->pair;
      if (event.sequence > after->sequence && spec.kinds.Has(event.data->kind()) &&
          spec.matcher->Matches(pair.domain, pair.binding)) {
        replay.push_back(event);
      }
    }
  }
  if (gap || !replay.empty()) stream->Replay(std::move(replay), gap);
  return head;
}

void Fanout::Remove(const StreamPtr& stream) {
  base::MutexLock lock(mu_);
  {
    base::MutexLock routes_lock(routes_mu_);
    if (std::erase(streams_, stream) == 0) return;
    ReroutedLocked();
  }
  stream->spec().counts->open->Add(-1);
  if (--stream_count_ == 0) last_stream_ended_ = clock_.Steady();
}

std::vector<StreamPtr> Fanout::StreamsOf(const Provider* provider) const {
  base::MutexLock lock(routes_mu_);
  std::vector<StreamPtr> streams;
  for (const StreamPtr& stream : streams_) {
    if (stream->spec().provider.get() == provider) streams.push_back(stream);
  }
  return streams;
}

void Fanout::Drain(absl::Time deadline) {
  Notifications notify;
  {
    base::MutexLock lock(routes_mu_);
    drain_ = deadline;
    for (const StreamPtr& stream : streams_) stream->Drain(deadline, &notify);
  }
  Notify(notify);
}

}  // namespace postern::bridge

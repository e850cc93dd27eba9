#include "server/dns/cares_resolver.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/dns/mx.h"
#include "server/dns/record_cache.h"

namespace postern::dns {
namespace {

using Answer = std::shared_ptr<const MxAnswer>;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr absl::Duration kLeastTtl = absl::Seconds(1);
constexpr absl::Duration kMostTtl = absl::Hours(24);
constexpr absl::Duration kMostNegativeTtl = absl::Hours(1);
constexpr absl::Duration kFailedMxTtl = absl::Seconds(1);
constexpr absl::Duration kFailedAddressTtl = absl::Seconds(10);
constexpr absl::Duration kMostTimeout = absl::Hours(1);

// One query under way or answered, and who is to be woken by its answer.
struct Lookup {
  std::shared_ptr<const RecordSet> records;  // null while under way
  std::vector<std::weak_ptr<asio::steady_timer>> callers;
};
using LookupPtr = std::shared_ptr<Lookup>;

struct HostLookups {
  LookupPtr a;
  LookupPtr aaaa;
};

std::string Normal(absl::string_view name) {
  if (absl::EndsWith(name, ".")) name.remove_suffix(1);
  return absl::AsciiStrToLower(name);
}

SteadyTime Deadline(absl::Duration timeout) {
  return std::chrono::steady_clock::now() +
         absl::ToChronoNanoseconds(std::clamp(timeout, absl::ZeroDuration(), kMostTimeout));
}

RecordSet Failed(absl::string_view why, absl::string_view name, RecordType type) {
  RecordSet set;
  set.status = RecordStatus::kTemporary;
  set.error = absl::StrCat(why, " for ", RecordTypeName(type), " of ", name);
  set.ttl = type == RecordType::kMx ? kFailedMxTtl : kFailedAddressTtl;
  return set;
}

std::string StatusText(int status) {
  switch (status) {
    case ARES_EFORMERR:
      return "FORMERR";
    case ARES_ESERVFAIL:
      return "SERVFAIL";
    case ARES_ENOTIMP:
      return "NOTIMP";
    case ARES_EREFUSED:
      return "REFUSED";
    case ARES_ETIMEOUT:
      return "time-out";
    case ARES_ECONNREFUSED:
      return "no usable answer from any DNS server";
    case ARES_EDESTRUCTION:
      return "resolver stopped";
    default:
      return ares_strerror(status);
  }
}

// What c-ares reports, as records with the TTL for which they are kept.
RecordSet Records(int status, absl::Span<const std::uint8_t> packet, absl::string_view name,
                  RecordType type) {
  const bool answered =
      status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
  RecordSet set;
  if (answered && !packet.empty()) {
    absl::StatusOr<RecordSet> parsed = ParseAnswer(packet, type);
    if (!parsed.ok()) return Failed(std::string(parsed.status().message()), name, type);
    set = *std::move(parsed);
  } else if (status == ARES_ENOTFOUND || status == ARES_EBADNAME) {
    set.status = RecordStatus::kNoDomain;  // not even asked: no name, or .onion (RFC 7686)
    set.ttl = kNegativeTtl;
  } else {
    return Failed(StatusText(status), name, type);
  }
  const bool positive = set.status == RecordStatus::kRecords;
  set.ttl = std::clamp(set.ttl, kLeastTtl, positive ? kMostTtl : kMostNegativeTtl);
  return set;
}

std::vector<HostRecords> Snapshot(const std::vector<HostLookups>& hosts) {
  std::vector<HostRecords> records;
  records.reserve(hosts.size());
  for (const HostLookups& host : hosts) records.push_back({host.a->records, host.aaaa->records});
  return records;
}

bool AnyPending(const std::vector<HostRecords>& records) {
  return std::any_of(records.begin(), records.end(),
                     [](const HostRecords& host) { return host.pending(); });
}

// Whether a host of the best preference could be dialled: only then may worse ones be given up.
bool BestUsable(const MxPlan& plan, const std::vector<HostRecords>& records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (plan.hosts[i].preference != plan.hosts.front().preference) return false;
    if (records[i].usable()) return true;
  }
  return false;
}

// Sleeps until a lookup that knows `wake` is answered, or until the deadline.
asio::awaitable<void> Sleep(asio::steady_timer& wake, SteadyTime deadline) {
  asio::error_code ignored;
  wake.expires_at(deadline);
  co_await wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace

class CaresResolver::Core {
 public:
  Core(asio::io_context& io, const ResolverOptions& options, const base::Clock& clock,
       std::unique_ptr<CaresChannel> channel)
      : io_(io),
        channel_options_(options.channel),
        clock_(clock),
        straggler_wait_(options.straggler_wait),
        channel_(std::move(channel)),
        cache_(std::max<std::size_t>(options.cache_entries, 1)),
        random_(std::random_device{}()) {}

  Answer Cached(const std::string& domain);
  Answer CachedHost(const std::string& host);

  // Static: the coroutine's own reference keeps the core beyond its resolver's end.
  static asio::awaitable<Answer> Mail(std::shared_ptr<Core> self, std::string domain,
                                      absl::Duration timeout);
  static asio::awaitable<Answer> Host(std::shared_ptr<Core> self, std::string host,
                                      absl::Duration timeout);

  absl::Status SetServers(const std::vector<std::string>& servers);

  // Answers every lookup under way; from now on each fails at once.
  void Stop() {
    retired_.clear();
    channel_.reset();
  }

 private:
  static asio::awaitable<Answer> Addresses(std::shared_ptr<Core> self, MxPlan plan,
                                           std::shared_ptr<asio::steady_timer> wake,
                                           SteadyTime deadline);
  Answer CachedAddresses(const MxPlan& plan);
  LookupPtr Find(const std::string& name, RecordType type,
                 const std::shared_ptr<asio::steady_timer>& wake);
  void Finish(const std::string& name, RecordType type, RecordSet records);
  Answer Share(MxAnswer answer) { return std::make_shared<const MxAnswer>(std::move(answer)); }

  // Lets go of channels whose last query is answered. Not in a channel's callback.
  void DropRetired() {
    std::erase_if(retired_, [](const auto& channel) { return channel->idle(); });
  }

  asio::io_context& io_;
  ChannelOptions channel_options_;
  const base::Clock& clock_;
  const absl::Duration straggler_wait_;
  std::unique_ptr<CaresChannel> channel_;               // null once stopped
  std::vector<std::unique_ptr<CaresChannel>> retired_;  // of earlier servers, until they are idle
  RecordCache cache_;
  absl::flat_hash_map<std::string, LookupPtr> under_way_;  // by RecordCache::Key
  std::mt19937_64 random_;
};

absl::Status CaresResolver::Core::SetServers(const std::vector<std::string>& servers) {
  ChannelOptions options = channel_options_;
  options.servers = servers;
  auto channel = CaresChannel::Create(io_, options);
  if (!channel.ok()) return channel.status();
  channel_options_ = std::move(options);
  retired_.push_back(std::exchange(channel_, *std::move(channel)));
  DropRetired();
  cache_.Clear();
  return absl::OkStatus();
}

// The answer from the cache, from a lookup under way, or from a new one. `wake` is cancelled when
// it comes; if it is there already, `records` is set at once.
LookupPtr CaresResolver::Core::Find(const std::string& name, RecordType type,
                                    const std::shared_ptr<asio::steady_timer>& wake) {
  auto lookup = std::make_shared<Lookup>();
  lookup->records = cache_.Find(name, type, clock_.Steady());
  if (lookup->records != nullptr) return lookup;
  if (channel_ == nullptr) {
    lookup->records = std::make_shared<const RecordSet>(Failed("resolver stopped", name, type));
    return lookup;
  }
  auto [entry, is_new] = under_way_.try_emplace(RecordCache::Key(name, type), lookup);
  lookup = entry->second;
  lookup->callers.push_back(wake);
  if (is_new) {
    if (!retired_.empty()) DropRetired();
    channel_->Query(name, type,
                    [this, name, type](int status, absl::Span<const std::uint8_t> packet) {
                      Finish(name, type, Records(status, packet, name, type));
                    });
  }
  return lookup;
}

void CaresResolver::Core::Finish(const std::string& name, RecordType type, RecordSet records) {
  records.expires = clock_.Steady() + records.ttl;
  auto shared = std::make_shared<const RecordSet>(std::move(records));
  cache_.Put(name, type, shared);
  auto node = under_way_.extract(RecordCache::Key(name, type));
  const LookupPtr lookup = node.mapped();
  lookup->records = std::move(shared);
  for (const std::weak_ptr<asio::steady_timer>& caller : lookup->callers) {
    if (const auto timer = caller.lock()) timer->cancel();
  }
  lookup->callers.clear();
}

Answer CaresResolver::Core::Cached(const std::string& domain) {
  if (std::optional<MxAnswer> literal = AnswerMailLiteral(domain)) return Share(*literal);
  const absl::Time now = clock_.Steady();
  const auto mx = cache_.Find(domain, RecordType::kMx, now);
  if (mx == nullptr) return nullptr;
  MxPlan plan = PlanMail(domain, *mx, now, random_);
  if (plan.answer) return Share(*std::move(plan.answer));
  return CachedAddresses(plan);
}

Answer CaresResolver::Core::CachedHost(const std::string& host) {
  if (std::optional<MxAnswer> literal = AnswerHostLiteral(host)) return Share(*literal);
  return CachedAddresses(PlanHost(host));
}

Answer CaresResolver::Core::CachedAddresses(const MxPlan& plan) {
  const absl::Time now = clock_.Steady();
  std::vector<HostRecords> records;
  for (const MxHost& host : plan.hosts) {
    records.push_back({cache_.Find(host.name, RecordType::kA, now),
                       cache_.Find(host.name, RecordType::kAaaa, now)});
    if (records.back().pending()) return nullptr;
  }
  return Share(Assemble(plan, records, now, random_));
}

asio::awaitable<Answer> CaresResolver::Core::Mail(std::shared_ptr<Core> self, std::string domain,
                                                  absl::Duration timeout) {
  if (std::optional<MxAnswer> literal = AnswerMailLiteral(domain)) co_return self->Share(*literal);
  auto wake = std::make_shared<asio::steady_timer>(self->io_);
  const SteadyTime deadline = Deadline(timeout);
  const LookupPtr mx = self->Find(domain, RecordType::kMx, wake);
  while (mx->records == nullptr && std::chrono::steady_clock::now() < deadline) {
    co_await Sleep(*wake, deadline);
  }
  if (mx->records == nullptr) {
    MxAnswer late;
    late.error = Failed("time-out", domain, RecordType::kMx).error;
    co_return self->Share(std::move(late));
  }
  MxPlan plan = PlanMail(domain, *mx->records, self->clock_.Steady(), self->random_);
  if (plan.answer) co_return self->Share(*std::move(plan.answer));
  co_return co_await Addresses(self, std::move(plan), wake, deadline);
}

asio::awaitable<Answer> CaresResolver::Core::Host(std::shared_ptr<Core> self, std::string host,
                                                  absl::Duration timeout) {
  if (std::optional<MxAnswer> literal = AnswerHostLiteral(host)) co_return self->Share(*literal);
  auto wake = std::make_shared<asio::steady_timer>(self->io_);
  const SteadyTime deadline = Deadline(timeout);
  MxPlan plan = PlanHost(host);
  co_return co_await Addresses(self, std::move(plan), wake, deadline);
}

asio::awaitable<Answer> CaresResolver::Core::Addresses(std::shared_ptr<Core> self, MxPlan plan,
                                                       std::shared_ptr<asio::steady_timer> wake,
                                                       SteadyTime deadline) {
  std::vector<HostLookups> hosts;
  for (const MxHost& host : plan.hosts) {
    hosts.push_back({self->Find(host.name, RecordType::kA, wake),
                     self->Find(host.name, RecordType::kAaaa, wake)});
  }
  std::vector<HostRecords> records = Snapshot(hosts);
  bool shortened = false;
  while (AnyPending(records) && std::chrono::steady_clock::now() < deadline) {
    if (!shortened && BestUsable(plan, records)) {
      shortened = true;
      deadline = std::min(deadline, Deadline(self->straggler_wait_));
    }
    co_await Sleep(*wake, deadline);
    records = Snapshot(hosts);
  }
  co_return self->Share(Assemble(plan, records, self->clock_.Steady(), self->random_));
}

absl::StatusOr<std::unique_ptr<CaresResolver>> CaresResolver::Create(asio::io_context& io,
                                                                     const ResolverOptions& options,
                                                                     const base::Clock& clock) {
  auto channel = CaresChannel::Create(io, options.channel);
  if (!channel.ok()) return channel.status();
  auto core = std::make_shared<Core>(io, options, clock, *std::move(channel));
  return std::unique_ptr<CaresResolver>(new CaresResolver(std::move(core)));
}

CaresResolver::CaresResolver(std::shared_ptr<Core> core) : core_(std::move(core)) {}

CaresResolver::~CaresResolver() { core_->Stop(); }

absl::Status CaresResolver::SetServers(const std::vector<std::string>& servers) {
  return core_->SetServers(servers);
}

std::shared_ptr<const MxAnswer> CaresResolver::Cached(absl::string_view domain) {
  return core_->Cached(Normal(domain));
}

std::shared_ptr<const MxAnswer> CaresResolver::CachedHost(absl::string_view host) {
  return core_->CachedHost(Normal(host));
}

asio::awaitable<std::shared_ptr<const MxAnswer>> CaresResolver::ResolveMail(
    std::string domain, absl::Duration timeout) {
  return Core::Mail(core_, Normal(domain), timeout);
}

asio::awaitable<std::shared_ptr<const MxAnswer>> CaresResolver::ResolveHost(
    std::string host, absl::Duration timeout) {
  return Core::Host(core_, Normal(host), timeout);
}

}  // namespace postern::dns

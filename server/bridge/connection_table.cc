#include "server/bridge/connection_table.h"

#include <algorithm>

namespace postern::bridge {

Part* PendingQuestion::Find(const Provider* provider) {
  for (Part& part : parts) {
    if (part.provider.get() == provider) return &part;
  }
  return nullptr;
}

bool ProviderState::Async::Knows(std::uint32_t number) const {
  return number == latest || std::any_of(open.begin(), open.end(), [number](const Told& told) {
           return told.number == number;
         });
}

const Standing* Connection::StandingOf(const Provider* provider) const {
  for (const ProviderState& state : providers) {
    if (state.provider.get() == provider) return state.standing ? &*state.standing : nullptr;
  }
  return nullptr;
}

ProviderState& Connection::StateOf(const ProviderPtr& provider) {
  for (ProviderState& state : providers) {
    if (state.provider == provider) return state;
  }
  providers.emplace_back();
  providers.back().provider = provider;
  return providers.back();
}

Connection* ConnectionTable::Shard::Find(const base::Id& id) {
  const auto it = connections.find(id);
  return it == connections.end() ? nullptr : it->second.get();
}

Connection& ConnectionTable::Shard::Ensure(const mail::ConnectionInfo& info, absl::Time now,
                                           std::uint64_t generation) {
  std::unique_ptr<Connection>& connection = connections[info.id];
  if (!connection) {
    connection = std::make_unique<Connection>();
    connection->info = std::make_shared<const mail::ConnectionInfo>(info);
    connection->opened = now;
    connection->opened_among = generation;
  }
  return *connection;
}

std::vector<Snapshot::Entry> ConnectionTable::List(const Matcher& matcher, absl::Time now) {
  std::vector<Snapshot::Entry> entries;
  for (Shard& shard : shards_) {
    base::MutexLock lock(shard.mu);
    for (const auto& [id, connection] : shard.connections) {
      const mail::PairKey& pair = *connection->info->pair;
      if (!matcher.Matches(pair.domain, pair.binding)) continue;
      entries.push_back({connection->info, now - connection->opened, connection->deliveries,
                         connection->attempts});
    }
  }
  return entries;
}

}  // namespace postern::bridge

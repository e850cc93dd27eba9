// OpenRows: which rows a session holds at this moment, where every thread can see it.
//
// Written when a session takes a row and when it gives it back; read by those who ask about a
// message. Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "server/base/ids.h"
#include "server/base/mutex.h"
#include "server/mail/row.h"

namespace postern::delivery {

class OpenRows {
 public:
  void Add(const mail::Row& row) {
    Shard& shard = ShardOf(row.message_id);
    base::MutexLock lock(shard.mu);
    shard.rows.emplace(row.message_id, row.index);
  }
  void Remove(const mail::Row& row) {
    Shard& shard = ShardOf(row.message_id);
    base::MutexLock lock(shard.mu);
    shard.rows.erase({row.message_id, row.index});
  }
  bool Contains(const mail::Row& row) const {
    const Shard& shard = ShardOf(row.message_id);
    base::MutexLock lock(shard.mu);
    return shard.rows.contains({row.message_id, row.index});
  }

 private:
  struct Shard {
    mutable base::Mutex mu;
    absl::flat_hash_set<std::pair<base::Id, std::uint16_t>> rows ABSL_GUARDED_BY(mu);
  };

  // The last byte of an id is random (base/ids.h).
  const Shard& ShardOf(const base::Id& id) const {
    return shards_[id.bytes.back() % shards_.size()];
  }
  Shard& ShardOf(const base::Id& id) { return shards_[id.bytes.back() % shards_.size()]; }

  std::array<Shard, 16> shards_;
};

}  // namespace postern::delivery

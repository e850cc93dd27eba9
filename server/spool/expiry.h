// Expiry: what of the families `history` and `tokens` is stale. Nobody deletes there: readers look
// at the age, and compaction leaves the stale out when it comes by. So expiry costs no scan and no
// write.
#pragma once

#include <rocksdb/compaction_filter.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"

namespace postern::spool {

struct Expiry {
  // Outcomes below are gone, and so is what points at them.
  std::atomic<std::uint64_t> outcome_floor{0};
  absl::Duration token_ttl = absl::Hours(24);
};

// Thread of the filters: RocksDB's.
std::unique_ptr<rocksdb::CompactionFilter> MakeHistoryFilter(std::shared_ptr<Expiry> expiry);
std::unique_ptr<rocksdb::CompactionFilter> MakeTokenFilter(std::shared_ptr<Expiry> expiry);

}  // namespace postern::spool

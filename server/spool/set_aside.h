// SetAside: which records could not be read. They stay where they are; nothing here deletes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/ids.h"
#include "server/base/metrics.h"
#include "server/base/mutex.h"

namespace postern::spool {

// Counts each record once in a process and says why in the log. Thread: any.
class SetAside {
 public:
  explicit SetAside(base::Counter& counter) : counter_(counter) {}

  // `key` is that of a record in the column family `state`.
  void Add(absl::string_view key, const absl::Status& why);

  // The rows of this message that were set aside; almost always none, and then it does not lock.
  std::vector<std::uint16_t> RowsOf(const base::Id& message_id) const;

 private:
  base::Counter& counter_;
  std::atomic<bool> any_{false};
  mutable base::Mutex mu_;
  absl::flat_hash_map<base::Id, std::vector<std::uint16_t>> rows_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::spool

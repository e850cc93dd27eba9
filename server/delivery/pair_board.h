// PairBoard: what is wrong with a pair, where every thread can read it.
//
// Failing connections defer the queue, not every message by an attempt of its own: no row is
// written, and those who ask about a message are told the pair's state. Written only when a pair's
// back-off begins or ends. Thread: any.
#pragma once

#include <memory>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/mail/row.h"

namespace postern::delivery {

struct PairTrouble {
  absl::Time until;  // no new connection before
  mail::RequeueReason reason = mail::RequeueReason::kConnectFailed;
  std::shared_ptr<const mail::Reply> reply;
};

class PairBoard {
 public:
  void Set(const mail::PairKey& pair, PairTrouble trouble) {
    base::MutexLock lock(mu_);
    troubles_.insert_or_assign(pair, std::move(trouble));
  }
  void Clear(const mail::PairKey& pair) {
    base::MutexLock lock(mu_);
    troubles_.erase(pair);
  }
  std::optional<PairTrouble> Find(const mail::PairKey& pair) const {
    base::MutexLock lock(mu_);
    const auto found = troubles_.find(pair);
    if (found == troubles_.end()) return std::nullopt;
    return found->second;
  }

 private:
  mutable base::Mutex mu_;
  absl::flat_hash_map<mail::PairKey, PairTrouble> troubles_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::delivery

// ScopeBatch: the rules for scopes that came in one frame, to be found by connection.
//
// However many they are, each open connection is looked at once, for a few hash look-ups.
// Thread: one; lives for one call.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "server/bridge/scope_table.h"

namespace postern::bridge {

class ScopeBatch {
 public:
  // What came for one scope.
  struct Scope {
    // The last rule that recycles: it reaches what is open even if another one has replaced it.
    std::shared_ptr<const ScopeRule> recycle;
    std::shared_ptr<const ScopeRule> last;  // null: withdrawn
    std::uint64_t recycled = 0;             // connections that were ended, and `recycle` concerns
    std::uint64_t ended = 0;                // connections that `last` has ended
  };
  using Found = absl::InlinedVector<Scope*, 8>;

  // A rule that has just been stored, by the verdict with this index.
  void Add(std::shared_ptr<const ScopeRule> rule, std::size_t verdict);

  // There is nothing to look for.
  bool empty() const { return verdicts_.empty(); }
  // The scopes that a pair is in, the most specific first. Valid until the next Add.
  Found Find(const mail::PairKey& pair);

  // How many connections the rules have ended, by the index of their verdicts; only those that have
  // ended any.
  std::vector<std::pair<std::size_t, std::uint64_t>> Ended() const;

 private:
  using ByBinding = absl::flat_hash_map<std::string, Scope*>;  // "": all
  struct OfVerdict {
    std::size_t index;
    std::shared_ptr<const ScopeRule> rule;
    Scope* scope;
  };

  ByBinding& Group(const std::string& glob);

  std::deque<Scope> scopes_;
  std::vector<OfVerdict> verdicts_;
  absl::flat_hash_map<std::string, ByBinding> exact_;
  absl::flat_hash_map<std::string, ByBinding> suffixes_;  // by ".suffix"
  ByBinding every_;                                       // of "*"
};

}  // namespace postern::bridge

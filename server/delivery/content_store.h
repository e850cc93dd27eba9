// ContentStore: the contents of large messages while they are sent, within a budget of memory.
//
//   auto loan = contents.Borrow(id, bytes, [] { /* hand over: ask loan->granted() again */ });
//   ... until loan->granted() ...
//   absl::StatusOr<ContentStore::Content> content = contents.Load(std::move(loan));
//
// A message for a hundred domains is sent by as many sessions at once: they share one copy. What is
// not shared waits until there is room, first come, first served; one content is always granted,
// however large. Small contents are not its business (kSmallBytes): no lock on the path of most
// mail. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/base/ids.h"
#include "server/base/mutex.h"
#include "server/spool/spool.h"

namespace postern::delivery {

class ContentStore {
  struct Claim;
  struct Held;

 public:
  // Contents up to here are read by each session for itself.
  static constexpr std::uint64_t kSmallBytes = 64 << 10;
  static constexpr std::uint64_t kDefaultBudgetBytes = 256 << 20;

  using Content = std::shared_ptr<const std::string>;

  // Room for one content, or a stand in the line for it; given back when it goes.
  class Loan {
   public:
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { store_.Return(claim_); }
    bool granted() const;

   private:
    friend class ContentStore;
    Loan(ContentStore& store, std::shared_ptr<Claim> claim)
        : store_(store), claim_(std::move(claim)) {}

    ContentStore& store_;
    const std::shared_ptr<Claim> claim_;
  };

  explicit ContentStore(const spool::Spool& spool) : spool_(spool) {}
  ContentStore(const ContentStore&) = delete;
  ContentStore& operator=(const ContentStore&) = delete;

  // What all contents together may take; at the start.
  void SetBudget(std::uint64_t bytes);

  // `wake` is called once, on any thread, when a loan that was not granted at once is. A message
  // that others send at this moment takes no room, and stands in no line.
  std::unique_ptr<Loan> Borrow(const base::Id& message_id, std::uint64_t bytes,
                               std::function<void()> wake);
  // The message's content: the copy that others send, or one that is read from the spool and keeps
  // the loan. Errors are those of Spool::ReadContent. REQUIRES: loan->granted().
  absl::StatusOr<Content> Load(std::unique_ptr<Loan> loan);

  // Nobody is woken any more: their threads are about to go.
  void Stop();

  std::uint64_t used_bytes() const;

 private:
  void Return(const std::shared_ptr<Claim>& claim);
  void Forget(const base::Id& message_id);
  // Grants the front of the line, as far as there is room; who is to be woken is added.
  void GrantFront(std::vector<std::shared_ptr<Claim>>* granted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Fits(const Claim& claim) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const spool::Spool& spool_;
  mutable base::Mutex mu_;
  std::uint64_t budget_ ABSL_GUARDED_BY(mu_) = kDefaultBudgetBytes;
  std::uint64_t used_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::shared_ptr<Claim>> line_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<base::Id, std::weak_ptr<Held>> held_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace postern::delivery

#include "server/delivery/content_store.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "server/base/check.h"

namespace postern::delivery {

struct ContentStore::Claim {
  base::Id message_id;
  std::uint64_t bytes = 0;     // 0: it shares
  std::shared_ptr<Held> held;  // what it shares
  std::function<void()> wake;
  std::atomic<bool> granted{false};
};

// A content that is in memory, for as long as somebody sends it.
struct ContentStore::Held {
  ContentStore& store;
  const base::Id message_id;
  std::unique_ptr<Loan> loan;
  std::string content;

  Held(ContentStore& the_store, const base::Id& id, std::unique_ptr<Loan> the_loan)
      : store(the_store), message_id(id), loan(std::move(the_loan)) {}
  ~Held() { store.Forget(message_id); }
};

bool ContentStore::Loan::granted() const { return claim_->granted; }

void ContentStore::SetBudget(std::uint64_t bytes) {
  base::MutexLock lock(mu_);
  budget_ = bytes;
}

bool ContentStore::Fits(const Claim& claim) const {
  return used_ == 0 || used_ + claim.bytes <= budget_;
}

std::unique_ptr<ContentStore::Loan> ContentStore::Borrow(const base::Id& message_id,
                                                         std::uint64_t bytes,
                                                         std::function<void()> wake) {
  auto claim = std::make_shared<Claim>();
  claim->message_id = message_id;
  claim->bytes = bytes;
  claim->wake = std::move(wake);
  {
    base::MutexLock lock(mu_);
    const auto found = held_.find(message_id);
    if (found != held_.end()) claim->held = found->second.lock();
    if (claim->held != nullptr) {
      claim->bytes = 0;
      claim->granted = true;
    } else if (line_.empty() && Fits(*claim)) {
      used_ += bytes;
      claim->granted = true;
    } else {
      line_.push_back(claim);
    }
  }
  return std::unique_ptr<Loan>(new Loan(*this, std::move(claim)));
}

void ContentStore::GrantFront(std::vector<std::shared_ptr<Claim>>* granted) {
  while (!stopped_ && !line_.empty() && Fits(*line_.front())) {
    used_ += line_.front()->bytes;
    line_.front()->granted = true;
    granted->push_back(std::move(line_.front()));
    line_.pop_front();
  }
}

void ContentStore::Return(const std::shared_ptr<Claim>& claim) {
  std::vector<std::shared_ptr<Claim>> granted;
  {
    base::MutexLock lock(mu_);
    if (claim->granted) {
      used_ -= claim->bytes;
    } else {
      line_.erase(std::find(line_.begin(), line_.end(), claim));
    }
    GrantFront(&granted);
  }
  for (const std::shared_ptr<Claim>& next : granted) next->wake();
}

absl::StatusOr<ContentStore::Content> ContentStore::Load(std::unique_ptr<Loan> loan) {
  POSTERN_CHECK(loan->granted());
  if (const std::shared_ptr<Held> shared = loan->claim_->held) {
    return Content(shared, &shared->content);
  }
  // Two that read it at once have two copies, each with its loan.
  const base::Id message_id = loan->claim_->message_id;
  absl::StatusOr<std::string> content = spool_.ReadContent(message_id);
  if (!content.ok()) return content.status();
  const auto held = std::make_shared<Held>(*this, message_id, std::move(loan));
  held->content = *std::move(content);
  std::vector<std::shared_ptr<Claim>> granted;
  {
    base::MutexLock lock(mu_);
    held_[message_id] = held;
    if (!stopped_) {
      std::erase_if(line_, [&](const std::shared_ptr<Claim>& claim) {
        if (claim->message_id != message_id) return false;
        claim->bytes = 0;
        claim->held = held;
        claim->granted = true;
        granted.push_back(claim);
        return true;
      });
      GrantFront(&granted);
    }
  }
  for (const std::shared_ptr<Claim>& next : granted) next->wake();
  return Content(held, &held->content);
}

void ContentStore::Forget(const base::Id& message_id) {
  base::MutexLock lock(mu_);
  const auto found = held_.find(message_id);
  if (found != held_.end() && found->second.expired()) held_.erase(found);
}

void ContentStore::Stop() {
  base::MutexLock lock(mu_);
  stopped_ = true;
}

std::uint64_t ContentStore::used_bytes() const {
  base::MutexLock lock(mu_);
  return used_;
}

}  // namespace postern::delivery

#include "server/queue/pair_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace postern::queue {
namespace {

// For a heap with the earliest in front.
bool Later(const RowPtr& a, const RowPtr& b) { return a->row.next_attempt > b->row.next_attempt; }

}  // namespace

void PairQueue::NoteExpiry(const mail::Row& row) {
  next_expiry_ = std::min(next_expiry_, row.expires);
}

void PairQueue::AddActive(RowPtr row) {
  NoteExpiry(row->row);
  active_[row->row.priority].push_back(std::move(row));
  ++active_size_;
}

void PairQueue::AddActiveFirst(RowPtr row) {
  NoteExpiry(row->row);
  active_[row->row.priority].push_front(std::move(row));
  ++active_size_;
}

void PairQueue::AddDelayed(RowPtr row) {
  NoteExpiry(row->row);
  delayed_.push_back(std::move(row));
  std::push_heap(delayed_.begin(), delayed_.end(), Later);
}

std::size_t PairQueue::Promote(absl::Time now) {
  std::size_t promoted = 0;
  while (!delayed_.empty() && delayed_.front()->row.next_attempt <= now) {
    std::pop_heap(delayed_.begin(), delayed_.end(), Later);
    RowPtr row = std::move(delayed_.back());
    delayed_.pop_back();
    AddActive(std::move(row));
    ++promoted;
  }
  return promoted;
}

std::size_t PairQueue::PromoteAll() {
  std::vector<RowPtr> rows = std::exchange(delayed_, {});
  for (RowPtr& row : rows) AddActive(std::move(row));
  return rows.size();
}

RowPtr PairQueue::TakeNext() {
  if (active_.empty()) return nullptr;
  const auto first = active_.begin();
  RowPtr row = std::move(first->second.front());
  first->second.pop_front();
  if (first->second.empty()) active_.erase(first);
  --active_size_;
  return row;
}

const mail::Row* PairQueue::head() const {
  return active_.empty() ? nullptr : &active_.begin()->second.front()->row;
}

std::vector<RowPtr> PairQueue::TakeExpired(absl::Time now) {
  if (now < next_expiry_) return {};
  std::vector<RowPtr> expired = TakeIf([now](const mail::Row& row) { return row.expires <= now; });
  absl::Time earliest = absl::InfiniteFuture();
  ForEach([&earliest](const mail::Row& row) { earliest = std::min(earliest, row.expires); });
  next_expiry_ = std::max(earliest, now + kExpiryInterval);
  if (earliest == absl::InfiniteFuture()) next_expiry_ = earliest;
  return expired;
}

std::vector<RowPtr> PairQueue::TakeIf(const std::function<bool(const mail::Row&)>& match) {
  std::vector<RowPtr> taken;
  const auto move_matching = [&](auto& rows) {
    const auto split = std::stable_partition(
        rows.begin(), rows.end(), [&match](const RowPtr& row) { return !match(row->row); });
    std::move(split, rows.end(), std::back_inserter(taken));
    rows.erase(split, rows.end());
  };
  for (auto it = active_.begin(); it != active_.end();) {
    const std::size_t before = it->second.size();
    move_matching(it->second);
    active_size_ -= before - it->second.size();
    it = it->second.empty() ? active_.erase(it) : std::next(it);
  }
  move_matching(delayed_);
  std::make_heap(delayed_.begin(), delayed_.end(), Later);
  return taken;
}

absl::Time PairQueue::next_due() const {
  return delayed_.empty() ? absl::InfiniteFuture() : delayed_.front()->row.next_attempt;
}

absl::Time PairQueue::next_event() const {
  if (empty()) return absl::InfiniteFuture();
  return std::min(next_due(), next_expiry_);
}

absl::Time PairQueue::oldest() const {
  absl::Time oldest = absl::InfiniteFuture();
  ForEach([&oldest](const mail::Row& row) { oldest = std::min(oldest, row.created); });
  return oldest;
}

void PairQueue::ForEach(const std::function<void(const mail::Row&)>& each) const {
  for (const auto& [priority, rows] : active_) {
    for (const RowPtr& row : rows) each(row->row);
  }
  for (const RowPtr& row : delayed_) each(row->row);
}

}  // namespace postern::queue

#include "server/queue/pair_queue.h"

#include <algorithm>
#include <functional>
#include <tuple>

namespace postern::queue {
namespace {

RowKey KeyOf(const QueuedRow& row) { return {row.row.message_id, row.row.index}; }

}  // namespace

bool PairQueue::ByKey::operator()(const QueuedRow* a, const QueuedRow* b) const {
  const auto order = KeyOf(*a) <=> KeyOf(*b);
  return order != 0 ? order < 0 : std::less<>()(a, b);
}

bool PairQueue::ByKey::operator()(const QueuedRow* a, const RowKey& b) const {
  return KeyOf(*a) < b;
}

bool PairQueue::ByKey::operator()(const RowKey& a, const QueuedRow* b) const {
  return a < KeyOf(*b);
}

bool PairQueue::ByPlace::operator()(const QueuedRow* a, const QueuedRow* b) const {
  return std::tie(b->row.priority, a->place) < std::tie(a->row.priority, b->place);
}

bool PairQueue::ByDue::operator()(const QueuedRow* a, const QueuedRow* b) const {
  if (a->row.next_attempt != b->row.next_attempt) return a->row.next_attempt < b->row.next_attempt;
  return ByKey()(a, b);
}

bool PairQueue::ByExpiry::operator()(const QueuedRow* a, const QueuedRow* b) const {
  if (a->row.expires != b->row.expires) return a->row.expires < b->row.expires;
  return ByKey()(a, b);
}

PairQueue::~PairQueue() {
  for (QueuedRow* row : rows_) delete row;
}

void PairQueue::Add(QueuedRow* row) {
  rows_.insert(row);
  by_expiry_.insert(row);
}

void PairQueue::AddActive(RowPtr row) {
  row->place = ++last_place_;
  Add(row.get());
  active_.insert(row.release());
}

void PairQueue::AddActiveFirst(RowPtr row) {
  row->place = --first_place_;
  Add(row.get());
  active_.insert(row.release());
}

void PairQueue::AddDelayed(RowPtr row) {
  row->place = 0;
  Add(row.get());
  delayed_.insert(row.release());
}

RowPtr PairQueue::Take(QueuedRow* row) {
  if (row->place == 0) {
    delayed_.erase(row);
  } else {
    active_.erase(row);
  }
  by_expiry_.erase(row);
  rows_.erase(row);
  return RowPtr(row);
}

std::size_t PairQueue::Promote(absl::Time now) {
  std::size_t promoted = 0;
  while (!delayed_.empty() && (*delayed_.begin())->row.next_attempt <= now) {
    QueuedRow* row = *delayed_.begin();
    delayed_.erase(delayed_.begin());
    row->place = ++last_place_;
    active_.insert(row);
    ++promoted;
  }
  return promoted;
}

std::size_t PairQueue::PromoteAll() { return Promote(absl::InfiniteFuture()); }

RowPtr PairQueue::TakeNext() { return active_.empty() ? nullptr : Take(*active_.begin()); }

const mail::Row* PairQueue::head() const {
  return active_.empty() ? nullptr : &(*active_.begin())->row;
}

std::vector<RowPtr> PairQueue::TakeExpired(absl::Time now) {
  std::vector<RowPtr> expired;
  // Behind expired_at_ only if the clock was set back.
  if (now >= expired_at_ && now < expired_at_ + kExpiryInterval) return expired;
  while (!by_expiry_.empty() && (*by_expiry_.begin())->row.expires <= now) {
    if (expired.size() == kExpiredAtOnce) return expired;
    expired.push_back(Take(*by_expiry_.begin()));
  }
  if (!expired.empty()) expired_at_ = now;
  return expired;
}

std::vector<RowPtr> PairQueue::TakeIf(RowWalk& walk,
                                      const std::function<bool(const mail::Row&)>& match) {
  std::vector<QueuedRow*> matching;
  auto it = walk.last.has_value() ? rows_.upper_bound(*walk.last)
                                  : rows_.lower_bound(RowKey{walk.only, 0});
  for (; walk.budget > 0; ++it) {
    walk.over = it == rows_.end() || (!walk.only.empty() && (*it)->row.message_id != walk.only);
    if (walk.over) break;
    --walk.budget;
    walk.last = KeyOf(**it);
    if (match((*it)->row)) matching.push_back(*it);
  }
  std::vector<RowPtr> taken;
  taken.reserve(matching.size());
  for (QueuedRow* row : matching) taken.push_back(Take(row));
  return taken;
}

QueuedRow* PairQueue::Find(const RowKey& key) const {
  const auto found = rows_.lower_bound(key);
  return found == rows_.end() || KeyOf(**found) != key ? nullptr : *found;
}

RowPtr PairQueue::Take(const RowKey& key) {
  QueuedRow* row = Find(key);
  return row == nullptr ? nullptr : Take(row);
}

bool PairQueue::Holds(const base::Id& message_id) const {
  const auto found = rows_.lower_bound(RowKey{message_id, 0});
  return found != rows_.end() && (*found)->row.message_id == message_id;
}

std::size_t PairQueue::CountActive(const base::Id& message_id) const {
  std::size_t count = 0;
  for (auto at = rows_.lower_bound(RowKey{message_id, 0});
       at != rows_.end() && (*at)->row.message_id == message_id; ++at) {
    if ((*at)->place != 0) ++count;
  }
  return count;
}

absl::Time PairQueue::next_due() const {
  return delayed_.empty() ? absl::InfiniteFuture() : (*delayed_.begin())->row.next_attempt;
}

absl::Time PairQueue::next_event() const {
  if (empty()) return absl::InfiniteFuture();
  const absl::Time expiry = (*by_expiry_.begin())->row.expires;
  return std::min(next_due(), std::max(expiry, expired_at_ + kExpiryInterval));
}

absl::Time PairQueue::oldest() const {
  return empty() ? absl::InfiniteFuture() : (*rows_.begin())->row.created;
}

}  // namespace postern::queue

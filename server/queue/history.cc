#include "server/queue/history.h"

#include <algorithm>

namespace postern::queue {

std::optional<std::vector<mail::Row>> MessageRecord::Finish(mail::Row row) {
  base::MutexLock lock(mu_);
  finished_.push_back(std::move(row));
  if (--open_rows_ > 0) return std::nullopt;
  std::sort(finished_.begin(), finished_.end(),
            [](const mail::Row& a, const mail::Row& b) { return a.index < b.index; });
  return std::move(finished_);
}

void History::Trim(absl::Time now) {
  while (!order_.empty() &&
         (order_.size() > max_messages_ || order_.front().first + max_age_ <= now)) {
    messages_.erase(order_.front().second);
    order_.pop_front();
  }
}

void History::Add(std::vector<mail::Row> rows, absl::Time now) {
  if (rows.empty()) return;
  const base::Id id = rows.front().message_id;
  base::MutexLock lock(mu_);
  if (!messages_.insert_or_assign(id, std::move(rows)).second) return;
  order_.emplace_back(now, id);
  Trim(now);
}

std::optional<std::vector<mail::Row>> History::Find(const base::Id& message_id, absl::Time now) {
  base::MutexLock lock(mu_);
  Trim(now);
  const auto found = messages_.find(message_id);
  if (found == messages_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::vector<mail::Row>> History::After(const base::Id& after, std::size_t limit,
                                                   absl::Time now) {
  std::vector<std::vector<mail::Row>> result;
  base::MutexLock lock(mu_);
  Trim(now);
  std::vector<base::Id> ids;
  for (const auto& [id, rows] : messages_) {
    if (id > after) ids.push_back(id);
  }
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(limit, ids.size()));
  std::partial_sort(ids.begin(), end, ids.end());
  for (auto it = ids.begin(); it != end; ++it) result.push_back(messages_[*it]);
  return result;
}

}  // namespace postern::queue

// History: messages that are finished stay readable for a while. MessageRecord: when is one?
//
// Thread: any, both.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/mail/row.h"

namespace postern::queue {

// Counts the open rows of a message of several rows, which may belong to several threads.
class MessageRecord {
 public:
  explicit MessageRecord(int open_rows) : open_rows_(open_rows) {}

  // Takes over a row that is final. For the last one, returns all rows of the message in order of
  // index; before that, nullopt.
  std::optional<std::vector<mail::Row>> Finish(mail::Row row);

 private:
  base::Mutex mu_;
  int open_rows_ ABSL_GUARDED_BY(mu_);
  std::vector<mail::Row> finished_ ABSL_GUARDED_BY(mu_);
};

// The last finished messages: at most `max_messages`, none older than `max_age`.
class History {
 public:
  explicit History(std::size_t max_messages = 10'000, absl::Duration max_age = absl::Minutes(15))
      : max_messages_(max_messages), max_age_(max_age) {}

  void Add(std::vector<mail::Row> rows, absl::Time now);
  std::optional<std::vector<mail::Row>> Find(const base::Id& message_id, absl::Time now);
  // Up to `limit` messages with an id above `after`, in order of id.
  std::vector<std::vector<mail::Row>> After(const base::Id& after, std::size_t limit,
                                            absl::Time now);

 private:
  void Trim(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::size_t max_messages_;
  const absl::Duration max_age_;
  base::Mutex mu_;
  std::deque<std::pair<absl::Time, base::Id>> order_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<base::Id, std::vector<mail::Row>> messages_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::queue

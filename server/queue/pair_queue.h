// PairQueue: the rows of one (domain, binding) pair that wait: active now, or delayed until later.
//
// Pure: no clock of its own, no I/O. Active rows leave by priority, then first come, first served;
// delayed rows become active when due. Every row has a deadline that fires in either state. Nothing
// but RowWalk looks at more rows than it takes, and that in turns.
// Thread: the scheduler thread that owns the pair.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/time/time.h"
#include "server/mail/row.h"

namespace postern::queue {

class MessageRecord;

// A row in memory.
struct QueuedRow {
  mail::Row row;
  // Times it went back to active without a charged attempt since the last charged one.
  std::uint8_t free_requeues = 0;
  // The present round, in which each recipient is offered once, in one transaction or in several:
  bool charged = false;  // its attempt is charged to the row already
  // Infinite past: none has begun. Recipients that were deferred before it are still to be offered.
  absl::Time round_began = absl::InfinitePast();
  // Set for messages of several rows: what finishing the message needs. Null: the only row
  // that could be read.
  std::shared_ptr<MessageRecord> message;
  // The queue's own: where an active row stands among those of its priority; 0: it is delayed.
  std::int64_t place = 0;

  // Charged to the row before the present round.
  std::uint32_t attempts_before() const { return row.attempts - (charged ? 1 : 0); }
};
using RowPtr = std::unique_ptr<QueuedRow>;

// What tells a row from all others. Rows sort by when their message was submitted (base/ids.h).
struct RowKey {
  base::Id message_id;
  std::uint16_t index = 0;

  friend auto operator<=>(const RowKey&, const RowKey&) = default;
};

// A walk over the rows of a queue in the order of their keys, in turns between which the queue may
// change: a row that is there all the time is looked at once. One that is added meanwhile is not,
// if the walk is past its key.
struct RowWalk {
  base::Id only;                 // rows of this message; empty: of all
  std::size_t budget = 0;        // how many more may be looked at in this turn
  std::optional<RowKey> last{};  // that was looked at
  bool over = false;             // none is left
};

class PairQueue {
 public:
  PairQueue() = default;
  ~PairQueue();
  PairQueue(const PairQueue&) = delete;
  PairQueue& operator=(const PairQueue&) = delete;

  // At the end of the rows of its priority, or ahead of them.
  void AddActive(RowPtr row);
  void AddActiveFirst(RowPtr row);
  // Until row.next_attempt.
  void AddDelayed(RowPtr row);

  // Moves the delayed rows that are due to the active ones. Returns how many.
  std::size_t Promote(absl::Time now);
  // Makes all delayed rows active (a host came back, an operator asked).
  std::size_t PromoteAll();

  // The next row to be attempted; null if none is active.
  RowPtr TakeNext();
  const mail::Row* head() const;

  // Takes out rows whose deadline has passed: at most kExpiredAtOnce, and nothing within
  // kExpiryInterval after the last of them was taken; a deadline fires at most that much late.
  std::vector<RowPtr> TakeExpired(absl::Time now);
  // Takes out the rows that the walk meets and for which `match` is true.
  std::vector<RowPtr> TakeIf(RowWalk& walk, const std::function<bool(const mail::Row&)>& match);
  // Null: it is not in the queue.
  RowPtr Take(const RowKey& key);
  // The same, left where it is. Only its recipients and what was counted of it may be changed.
  QueuedRow* Find(const RowKey& key) const;
  // Any row of the message.
  bool Holds(const base::Id& message_id) const;
  std::size_t CountActive(const base::Id& message_id) const;

  // When something changes by itself: the next delayed row is due, or a deadline has passed.
  // Infinite future: never.
  absl::Time next_event() const;
  absl::Time next_due() const;
  // Creation of the row that was submitted first; infinite future if empty.
  absl::Time oldest() const;

  std::size_t active_size() const { return active_.size(); }
  std::size_t delayed_size() const { return delayed_.size(); }
  bool empty() const { return rows_.empty(); }

  static constexpr absl::Duration kExpiryInterval = absl::Milliseconds(250);
  static constexpr std::size_t kExpiredAtOnce = 1000;

 private:
  // Orders of rows; what they go by does not change while a row is in the queue. A set of pointers
  // takes 9 to 12 bytes for each, and it is in three of them.
  struct ByKey {
    using is_transparent = void;
    bool operator()(const QueuedRow* a, const QueuedRow* b) const;
    bool operator()(const QueuedRow* a, const RowKey& b) const;
    bool operator()(const RowKey& a, const QueuedRow* b) const;
  };
  struct ByPlace {
    bool operator()(const QueuedRow* a, const QueuedRow* b) const;
  };
  struct ByDue {
    bool operator()(const QueuedRow* a, const QueuedRow* b) const;
  };
  struct ByExpiry {
    bool operator()(const QueuedRow* a, const QueuedRow* b) const;
  };

  void Add(QueuedRow* row);
  RowPtr Take(QueuedRow* row);

  absl::btree_set<QueuedRow*, ByKey> rows_;  // all of them, owned
  // Each row is in one of these two,
  absl::btree_set<QueuedRow*, ByPlace> active_;
  absl::btree_set<QueuedRow*, ByDue> delayed_;
  // and in this one.
  absl::btree_set<QueuedRow*, ByExpiry> by_expiry_;
  std::int64_t first_place_ = 0;                  // never above 0
  std::int64_t last_place_ = 0;                   // never below 0
  absl::Time expired_at_ = absl::InfinitePast();  // the last time when all that had were taken
};

}  // namespace postern::queue

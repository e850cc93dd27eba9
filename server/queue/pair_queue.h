// PairQueue: the rows of one (domain, binding) pair that wait: active now, or delayed until later.
//
// Pure: no clock of its own, no I/O. Active rows leave by priority, then first come, first served;
// delayed rows become active when due. Every row has a deadline that fires in either state.
// Thread: the scheduler thread that owns the pair.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

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

  // Charged to the row before the present round.
  std::uint32_t attempts_before() const { return row.attempts - (charged ? 1 : 0); }
};
using RowPtr = std::unique_ptr<QueuedRow>;

class PairQueue {
 public:
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

  // Takes out the rows whose deadline has passed. Looks at every row, but not more often than once
  // in kExpiryInterval: a deadline fires at most that much late.
  std::vector<RowPtr> TakeExpired(absl::Time now);
  // Takes out all rows for which `match` is true, active and delayed.
  std::vector<RowPtr> TakeIf(const std::function<bool(const mail::Row&)>& match);

  // When something changes by itself: the next delayed row is due, or a deadline has passed.
  // Infinite future: never.
  absl::Time next_event() const;
  absl::Time next_due() const;
  absl::Time oldest() const;  // creation of the oldest row; infinite future if empty; looks at all

  std::size_t active_size() const { return active_size_; }
  std::size_t delayed_size() const { return delayed_.size(); }
  bool empty() const { return active_size_ == 0 && delayed_.empty(); }

  void ForEach(const std::function<void(const mail::Row&)>& each) const;

  static constexpr absl::Duration kExpiryInterval = absl::Milliseconds(250);

 private:
  void NoteExpiry(const mail::Row& row);

  std::map<std::uint8_t, std::deque<RowPtr>, std::greater<>> active_;  // no empty deque inside
  std::size_t active_size_ = 0;
  std::vector<RowPtr> delayed_;  // heap, the earliest next_attempt in front
  // Not later than the earliest deadline of any row.
  absl::Time next_expiry_ = absl::InfiniteFuture();
};

}  // namespace postern::queue

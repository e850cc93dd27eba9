// WriteQueue: what waits to be written, in order, and who waits for it to be written.
//
// Any thread pushes; one thread, the writer, collects. The writer is woken only when it sleeps.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/ids.h"
#include "server/base/mutex.h"
#include "server/spool/spool.h"

namespace postern::spool {

// A Store's token. Thread: the writer's, once queued.
struct TokenWork {
  std::string key;
  std::string value;  // the record of this submission
  std::string known;  // the record that stands already; empty: there is none
  Spool::DoneOnce done;
};

// One call of the seam, already encoded by its caller.
struct WriteOp {
  enum class Kind : std::uint8_t {
    kStore,
    kUpdate,
    kMark,
    kRemove,
    kNote,
    kConsumer,   // writes the cursors that the book was asked for
    kAdoptMark,  // writes nothing: a dead process left a mark, the row's next record deletes it
  };

  Kind kind = Kind::kUpdate;
  bool tried = false;          // was part of a write that failed: part of it may be on disk
  bool answered = false;       // kStore: refused already, not to be written
  std::uint16_t index = 0;     // of the row (kUpdate, kMark, kAdoptMark; kRemove with an outcome)
  int row_count = 0;           // kStore, kRemove
  std::uint32_t outcomes = 0;  // kUpdate, kRemove: how many its record holds
  Ticket ticket = 0;
  std::uint64_t sequence = 0;  // of the first outcome (the writer fills it)
  base::Id message_id;
  std::string key;      // kNote
  std::string content;  // kStore; the outcomes' record of kUpdate, kRemove; kMark: what follows the
                        // epoch; kNote: the value, empty deletes
  absl::InlinedVector<std::string, 1> rows;     // encoded: kStore in order, kUpdate one
  absl::InlinedVector<std::uint16_t, 2> marks;  // rows whose mark goes (the writer fills it)
  std::vector<std::uint16_t> set_aside;         // kRemove: rows that stay, and so does content
  Spool::Done done;                             // kStore without a token
  std::unique_ptr<TokenWork> token;             // kStore with one

  // About what it adds to a batch.
  std::size_t bytes() const;
};

// Not inline: gcc 12 takes the moved empty lists for uninitialised ones where it sees all of it.
WriteOp MakeOp(WriteOp::Kind kind, const base::Id& message_id = base::Id());

class WriteQueue {
 public:
  // Appends; numbers the operation. Thread: any.
  Ticket Push(WriteOp op);

  // The number of the last operation. Thread: any.
  Ticket Latest() const {
    base::MutexLock lock(mu_);
    return last_ticket_;
  }

  // Everything up to `ticket` is written. Thread: any; does not lock.
  bool IsWritten(Ticket ticket) const { return written_.load(std::memory_order_acquire) >= ticket; }
  void WhenWritten(Ticket ticket, std::function<void()> done);

  // Ends Collect's waiting for good. Thread: any.
  void Stop();

  // --- The writer's side ---

  // Moves all that waits behind `work`. If there is nothing, waits for it no longer than `patience`
  // (zero: not at all). False once stopped.
  bool Collect(absl::Duration patience, std::deque<WriteOp>& work);

  // Says that all up to `ticket` is written and calls those who waited for that.
  void SetWritten(Ticket ticket);

 private:
  struct Waiter {
    Ticket ticket;
    std::function<void()> done;
  };

  std::atomic<Ticket> written_{0};  // changed under mu_, so that WhenWritten misses nothing
  mutable base::Mutex mu_;
  std::condition_variable wake_;
  bool sleeping_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  Ticket last_ticket_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<WriteOp> waiting_ ABSL_GUARDED_BY(mu_);
  std::vector<Waiter> waiters_ ABSL_GUARDED_BY(mu_);
  std::vector<WriteOp> taken_;  // the writer's: waiting_'s other half, so that both keep their room
};

}  // namespace postern::spool

// Spool: where mail is kept on disk. The seam between delivery and the store.
//
// Every write goes through one queue, in order, to one writer: all that wait are written as one
// batch, synced once if any of them asked for it. Calls never block on the disk, except Read* and
// ForEachRow, which read.
//
// Thread: any. Callbacks run on the writer's thread and must only hand over.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/siphash.h"
#include "server/mail/row.h"
#include "server/spool/outcome.h"

namespace postern::spool {

// Numbers the writes of this process, from 1.
using Ticket = std::uint64_t;

// What makes a submission one and the same however often it is sent.
struct TokenClaim {
  std::string identity;  // whose token it is
  std::string token;
  base::Digest content;  // of all that was submitted
};

// A message as it was stored under a token.
struct StoredMessage {
  struct Row {
    mail::PairKey pair;
    std::uint32_t recipients = 0;
  };
  base::Id message_id;
  std::vector<Row> rows;
};

class Spool {
 public:
  using Done = std::function<void(absl::Status)>;
  // nullopt: stored. A message: the one that was stored under the token before; nothing was stored.
  using DoneOnce = std::function<void(absl::StatusOr<std::optional<StoredMessage>>)>;

  virtual ~Spool() = default;

  // Stores a message's content and rows, all or nothing; `done(OK)` means synced to disk.
  // RESOURCE_EXHAUSTED: no room (nothing stored). UNAVAILABLE: the spool cannot write now.
  // REQUIRES: rows are those of one message, in order of index, and not empty.
  virtual void Store(std::string content, const std::vector<mail::Row>& rows, Done done) = 0;

  // The same under a token, in the same batch. If the token was claimed within its time to live
  // (24 h), nothing is stored: the same content gets the message of then, any other ALREADY_EXISTS
  // naming it. While the first Store with it is under way, the others share its outcome.
  virtual void StoreOnce(TokenClaim claim, std::string content, const std::vector<mail::Row>& rows,
                         DoneOnce done) = 0;

  // Records a row's present state, and as outcomes (outcome.h) what its recipients that are
  // `unreported` came to; synced with its batch. A record that cannot be written stays in the queue
  // and is tried again until it can: see healthy(). The caller clears `unreported`.
  virtual void Update(const mail::Row& row, const AttemptRef& attempt) = 0;

  // Update and Remove at once. REQUIRES: the row is final and its message's only one.
  virtual void Finish(const mail::Row& row, const AttemptRef& attempt) = 0;

  // Marks that the row's transaction, for the recipients `offered` (indices; empty: all that are
  // not final), is about to pass the final dot. Not synced by itself: it rides
  // in the next batch. The mark is undone by the row's next Update or by Remove. Returns a ticket:
  // the dot may be sent once WhenWritten says so.
  virtual Ticket MarkAttempt(const mail::Row& row, const std::vector<std::size_t>& offered) = 0;

  // True once everything up to `ticket` has been handed to the operating system (survives the death
  // of this process). Cheap; call it first.
  virtual bool IsWritten(Ticket ticket) const = 0;
  // Calls `done` when that is so (at once, on this thread, if it is already).
  virtual void WhenWritten(Ticket ticket, std::function<void()> done) = 0;

  // Deletes a message whose rows are all final: `row_count` rows and the content. A log record like
  // the others, synced with its batch. Rows that were set aside stay, and then so does the content.
  // REQUIRES: once for a message (its content may be deleted only once).
  virtual void Remove(const base::Id& message_id, int row_count) = 0;

  // Keeps a small value under a name, in place of the one before it; an empty value deletes. Synced
  // with its batch and tried again like Update. Suspensions and the like: what is not mail and must
  // survive a restart.
  virtual void PutNote(std::string key, std::string value) = 0;
  // Calls `each` for every note whose key begins with `prefix`, in order of key. Reads what is
  // written; UNAVAILABLE as those below.
  virtual absl::Status ForEachNote(
      absl::string_view prefix,
      const std::function<void(const std::string& key, const std::string& value)>& each) const = 0;

  // The ticket of the last write that was asked for: once it is written, all before it are.
  virtual Ticket Latest() const = 0;

  // These read what is written, not what waits, and answer UNAVAILABLE while the store is
  // being opened again after an error (or on an I/O error): try again later.

  // NOT_FOUND if there is no such content, DATA_LOSS if it cannot be read.
  virtual absl::StatusOr<std::string> ReadContent(const base::Id& message_id) const = 0;
  // The rows of one message, in order of index. NOT_FOUND if there are none.
  virtual absl::StatusOr<std::vector<mail::Row>> ReadRows(const base::Id& message_id) const = 0;
  // Calls `each` for every row with a message id above `after`, in order of message id, until it
  // returns false. A record that cannot be read is set aside, counted and skipped. A row whose mark
  // was left by a process that died is in doubt, with the recipients that the mark names.
  virtual absl::Status ForEachRow(const base::Id& after,
                                  const std::function<bool(mail::Row)>& each) const = 0;

  static constexpr std::size_t kHistoryPerRow = 50;
  static constexpr std::size_t kHistoryPerMessage = 5'000;
  // The recorded changes of a message's rows that are still kept, by row index, oldest first: the
  // last kHistoryPerRow of each row, fewer if there are so many rows that kHistoryPerMessage would
  // be exceeded (but one). NOT_FOUND if there are none.
  virtual absl::StatusOr<std::vector<OutcomeRecord>> ReadHistory(
      const base::Id& message_id) const = 0;
  // The rows of a message that is finished, as far as the retention has kept them: what a row came
  // to long before the last one may be gone. NOT_FOUND: it is not finished, or none is kept.
  virtual absl::StatusOr<std::vector<mail::Row>> ReadFinished(const base::Id& message_id) const = 0;
  // Calls `each` for the rows of every finished message that is still kept with an id above
  // `after`, in order of id, until it returns false, or until about `max_entries` entries of the
  // history were looked at, whether a message came of them or not. Then answers the last message
  // that was looked at, to go on behind it; empty: there is no more, or `each` has returned false.
  // The store cannot recover from an error meanwhile, so large scans are to be cut into pieces.
  virtual absl::StatusOr<base::Id> ForEachFinished(
      const base::Id& after, std::size_t max_entries,
      const std::function<bool(std::vector<mail::Row>)>& each) const = 0;

  // False while the disk refuses writes: no transaction whose outcome cannot be recorded may begin,
  // and Store answers UNAVAILABLE or RESOURCE_EXHAUSTED. Recovers by itself.
  virtual bool healthy() const = 0;
};

}  // namespace postern::spool

// What delivery offers to those who submit, look and operate: Intake, Control, MessageSource.
//
// Seams: rpc is written against these, tests stand in for them. Thread: any, for all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/mail/connection.h"
#include "server/mail/hold.h"
#include "server/mail/row.h"
#include "server/spool/outcome.h"

namespace postern::delivery {

struct ReceiptRow {
  mail::PairKey pair;
  std::uint32_t recipients = 0;
};

struct Receipt {
  base::Id message_id;
  std::vector<ReceiptRow> rows;  // one for each queue that the message went to
  bool duplicate = false;        // the token was known: this is what was answered then
};

class Intake {
 public:
  using Done = std::function<void(absl::StatusOr<Receipt>)>;
  virtual ~Intake() = default;

  // Checks, stores and queues one message; its id is minted here. `done` is called exactly once, on
  // this thread (a refusal) or on the spool's writer (the message is on disk): only hand over.
  // INVALID_ARGUMENT names the field ("recipients[1]: ..."); RESOURCE_EXHAUSTED: a watermark is
  // reached (admission.h); UNAVAILABLE: draining, or the spool cannot write; both with when to try
  // again (base/retry_after.h), but for draining; ALREADY_EXISTS: the token was used with other
  // content. Nothing is stored unless the status is OK, nor if the receipt is a duplicate's.
  virtual void Submit(mail::Submission submission, Done done) = 0;
};

struct QueueInfo {
  mail::PairKey pair;
  int binding_slot = 0;
  std::uint64_t active = 0;      // rows that may be attempted now
  std::uint64_t delayed = 0;     // rows that wait for their next attempt
  std::uint64_t in_session = 0;  // rows that a session holds
  std::uint64_t open_connections = 0;
  std::uint64_t dialing = 0;
  std::uint64_t connection_goal = 0;                 // how many connections the pair wants
  std::shared_ptr<const mail::Reply> last_failure;   // of the pair; null: none since a success
  std::uint64_t config_generation = 0;               // that the pair's options come from
  absl::Time oldest = absl::InfiniteFuture();        // of all rows; infinite: none
  absl::Time next_attempt = absl::InfiniteFuture();  // of the delayed rows
  absl::Time backoff_until = absl::InfinitePast();   // no new connection before
  std::optional<mail::Hold> hold;                    // what keeps it from delivering
  // Why what is due does not move; nullopt: it does, or nothing is due.
  std::optional<mail::RequeueReason> waiting_for;
};

// An open connection, or an attempt to open one.
struct ConnectionEntry {
  mail::ConnectionInfo info;  // of an attempt: as far as it is known
  // Of an attempt "lookup" or "connect"; then mail::Name(SmtpStage), "spool", "verdict", "idle".
  std::string phase;
  std::uint64_t deliveries = 0;
  std::uint64_t attempts = 0;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
  base::Id message_id;  // of the transaction that is open; else empty
  absl::Time opened;    // of an attempt: when it began
};

struct DrainProgress {
  std::uint64_t open_sessions = 0;
  std::uint64_t in_transaction = 0;
  std::uint64_t queued_rows = 0;
  std::uint64_t cut = 0;       // sessions that were broken at the end of the budget
  std::uint64_t in_doubt = 0;  // rows that this left in doubt
  bool done = false;
};

class Control {
 public:
  virtual ~Control() = default;
  // Each asks every scheduler thread and waits for it: milliseconds. Not for scheduler threads.
  // `domain_glob`: exact, "*.suffix" or "*"; empty is "*". `binding`: empty is all.
  virtual std::vector<QueueInfo> ListQueues(const std::string& domain_glob,
                                            const std::string& binding) = 0;
  virtual std::vector<ConnectionEntry> ListConnections() = 0;

  // Stops intake and new connections and ends sessions at their transaction boundary; those that
  // are still open after `budget` are cut and what they had past the final dot is in doubt. A
  // second call joins the first; it can shorten what is left, not lengthen it.
  virtual void BeginDrain(absl::Duration budget) = 0;
  virtual DrainProgress drain_progress() const = 0;
};

struct MessageView {
  std::vector<mail::Row> rows;              // in order of index
  std::vector<std::uint16_t> in_session{};  // indices of the rows that a session holds
  // Of all rows, by index, oldest first; of Get only.
  std::vector<spool::OutcomeRecord> history{};
};

class MessageSource {
 public:
  struct Query {
    std::string domain;                     // of the queue; empty: all
    std::string binding;                    // empty: all
    std::optional<std::string> submitter;   // of the message; none: all
    std::vector<mail::Disposition> states;  // any recipient in any of them; empty: all
    int page_size = 100;
    base::Id after;  // the last message of the page before; empty: from the start
  };
  struct Page {
    std::vector<MessageView> messages;
    base::Id next;  // where to go on; empty: this was the last page
  };

  virtual ~MessageSource() = default;
  // Queued messages from the spool, finished ones from the history. NOT_FOUND otherwise. The view's
  // history costs a read for each attempt.
  enum class History { kNo, kYes };
  virtual absl::StatusOr<MessageView> Get(const base::Id& message_id, History history) = 0;
  // In order of message id, which is the order of submission. A page may be short although there
  // are more: looking for few among many messages is cut off.
  virtual absl::StatusOr<Page> List(const Query& query) = 0;
};

}  // namespace postern::delivery

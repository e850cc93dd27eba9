// Operations: what an operator may do to queues, messages and connections. A seam as in control.h.
//
// Each call asks scheduler threads, and returns when what it did is written to the spool;
// UNAVAILABLE when that takes longer than 5 s: it is done, but would not survive a restart. A scope
// is about queues: behind a gateway the domain is the gateway's name. INVALID_ARGUMENT names the
// field. Thread: any that may wait, so not a scheduler's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/delivery/control.h"
#include "server/mail/hold.h"
#include "server/mail/reply.h"

namespace postern::delivery {

enum class Resolution : std::uint8_t { kDelivered = 1, kRetry = 2, kFail = 3 };

class Operations {
 public:
  virtual ~Operations() = default;

  // Puts a suspension in force (scope, who, reason, until); it takes the place of one of the same
  // scope. Returns how many queues it stops now. RESOURCE_EXHAUSTED: too many suspensions.
  virtual absl::StatusOr<std::uint64_t> Suspend(mail::Hold hold) = 0;

  struct Resumed {
    std::uint64_t queues = 0;           // that may deliver again
    std::vector<mail::Hold> remaining;  // wider suspensions that still stop queues of the scope
  };
  // Ends the suspensions and policy holds that lie within the scope.
  virtual absl::StatusOr<Resumed> Resume(const mail::Scope& scope) = 0;
  // All that are in force, suspensions first.
  virtual std::vector<mail::Hold> Holds() = 0;

  // Makes delayed rows due now and ends the back-off of their queues; rows in doubt that are held
  // stay. Of one message only when `message_id` is not empty. Returns how many rows.
  virtual absl::StatusOr<std::uint64_t> Flush(const mail::Scope& scope,
                                              const base::Id& message_id) = 0;

  // Fails the rows that are queued now and not in a session. Returns how many, or would be.
  virtual absl::StatusOr<std::uint64_t> Fail(const mail::Scope& scope, mail::Reply reply,
                                             bool dry_run) = 0;

  // Moves the rows that are queued now and not in a session to the queues of another binding, as
  // the options there lead them. Rows that would have to be split (behind a gateway that the other
  // binding does not have) stay. Returns how many were moved.
  virtual absl::StatusOr<std::uint64_t> Reroute(const mail::Scope& scope,
                                                const std::string& to_binding) = 0;

  // Ends a session at its boundary, or breaks it `now`. NOT_FOUND: no such session.
  virtual absl::Status ShutdownConnection(const base::Id& connection, const std::string& who,
                                          const std::string& reason, bool now) = 0;

  // Cancels the recipients (none: all) that are not final; those of a row in a session once its
  // transaction is over, if they are not final then. Returns the message as it is afterwards.
  // NOT_FOUND.
  virtual absl::StatusOr<MessageView> Cancel(const base::Id& message_id,
                                             const std::vector<std::string>& recipients,
                                             const std::string& reason) = 0;

  // Settles the rows in doubt that are not in a session, of one recipients' domain or of all
  // (empty). FAILED_PRECONDITION: there is none. NOT_FOUND.
  virtual absl::StatusOr<MessageView> Resolve(const base::Id& message_id, const std::string& domain,
                                              Resolution resolution) = 0;
};

}  // namespace postern::delivery

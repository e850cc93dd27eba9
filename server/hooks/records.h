// The records behind the C structures of hooks/types.h: what the server adds to what a module sees.
//
// A hook is handed the C part; the server's own providers (the bridge) may step down to the whole
// record with From(). Thread: the scheduler thread that owns the pair; valid during the call only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "hooks/types.h"
#include "server/mail/conn_error.h"
#include "server/mail/connection.h"
#include "server/mail/disposition.h"
#include "server/mail/reply.h"

namespace postern::hooks {

// One attempt to open a connection, while post_initiate_connection_smtp is called for it.
struct ConnectionAttempt {
  const mail::ConnectionInfo* connection = nullptr;
  mail::ConnError error = mail::ConnError::kNone;
  std::uint64_t attempt_number = 0;  // of the pair, from 1
  std::uint64_t queue_depth = 0;     // rows of the pair that are due
  base::Id probable_message_id;      // empty when the active queue is
  std::string detail;                // the system's or DNS's words on a failure
};

// What hooks/types.h calls domain_record. Every domain_record that reaches a provider is one of
// these, also behind connection::domain.
struct DomainRecord : domain_record {
  DomainRecord() : domain_record{} {}

  const ConnectionAttempt* attempt = nullptr;  // set while a call is under way
  // The same, as modules see it: head of the queue of the pair whose attempt it is, or null.
  const ec_message* probable_message = nullptr;

  static const DomainRecord& From(const domain_record* dr) {
    return *static_cast<const DomainRecord*>(dr);
  }
};

struct RecipientOutcome {
  std::string address;
  mail::Disposition disposition = mail::Disposition::kDeferred;
  std::shared_ptr<const mail::Reply> reply;
};

// How one transaction ended: what delivery_attempt events carry.
struct AttemptReport {
  base::Id message_id;
  std::vector<RecipientOutcome> recipients;
  mail::Disposition disposition =
      mail::Disposition::kDeferred;  // of the message in this session:
                                     // delivered if any recipient was, else failed if all were,
                                     // else deferred
  mail::Reply reply;                 // the one that decided
  // Why those that are not final wait.
  mail::RequeueReason reason = mail::RequeueReason::kTransientFailure;
  std::uint64_t bytes = 0;  // content octets sent
  // From one reply to the next (RSET counts as MAIL). With PIPELINING a phase that was answered
  // together with the one before it took no time of its own.
  absl::Duration mail_time, rcpt_time, data_time, body_time;
  bool in_doubt = false;      // cut between the final dot and its reply
  bool session_over = false;  // the connection cannot be used any more
};

// What became of the call to smtp_should_session_shutdown.
struct ShutdownVerdict {
  bool shutdown = false;  // what the chain said; means nothing when result_ignored
  mail::CloseCause cause = mail::CloseCause::kHook;
  std::string provider;         // name of the module or of the remote policy that said so
  std::string reason;           // its words, at most 256 bytes
  absl::Duration hold;          // > 0: no new connection for the pair for so long
  absl::Duration avoid_host;    // > 0: not to this host for so long
  bool result_ignored = false;  // the session was ending anyway
  bool stands = false;          // asked for before a boundary: the chain, called there, finds it
};

// What hooks/types.h calls delivery_construct, for one call of smtp_should_session_shutdown.
struct DeliveryConstruct : delivery_construct {
  DeliveryConstruct() : delivery_construct{} {}

  const mail::ConnectionInfo* connection_info = nullptr;
  const AttemptReport* report = nullptr;
  std::uint64_t deliveries = 0;  // recipients' transactions that succeeded on this connection
  std::uint64_t attempts = 0;    // transactions on this connection
  std::uint64_t queue_depth = 0;
  // The answer that the bridge holds for this call; filled before the chain runs.
  std::optional<ShutdownVerdict> remote;
  // Words that native providers left through delivery_construct_hold / _avoid_host.
  absl::Duration hold, avoid_host;

  static DeliveryConstruct& From(delivery_construct* dc) {
    return *static_cast<DeliveryConstruct*>(dc);
  }
};

}  // namespace postern::hooks

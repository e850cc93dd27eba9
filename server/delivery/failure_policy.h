// FailurePolicy: what replies mean. Is it this recipient, this message, or the whole host?
//
// Pure: turns the result of one transaction into dispositions. Everything that a delivery attempt
// can end in goes through Judge().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/hooks/records.h"
#include "server/mail/disposition.h"
#include "server/smtp/client_dialogue.h"

namespace postern::delivery {

// What the session looked like when the transaction ended.
struct SessionFacts {
  std::uint64_t deliveries = 0;  // transactions that succeeded on it before this one
  int free_requeues = 0;         // of the row, see queue::QueuedRow
  bool timed_out = false;        // a deadline of ours cut the transaction
  bool message_expired = false;  // it was the message's own
  bool cut = false;              // an operator, or the end of a drain, cut the connection
  bool spool_failed = false;     // we cut it: the spool could not record the attempt, or give
                                 // the content
  std::string lost;              // how the connection broke, for people: "connection reset by peer"
};

struct Judgement {
  // One for each recipient of the transaction: delivered, failed or deferred.
  std::vector<hooks::RecipientOutcome> recipients;
  mail::Disposition disposition = mail::Disposition::kDeferred;  // as in AttemptReport
  mail::Reply decisive;  // the reply (or our own words) that decided
  // One for each recipient: its fate is not known, the content went out to the final dot.
  std::vector<bool> doubts;
  mail::RequeueReason reason = mail::RequeueReason::kTransientFailure;  // for those deferred
  bool charge = true;          // the attempt counts; false: back to active at once
  bool pair_back_off = false;  // the host would say the same to every message
  bool in_doubt = false;
  // > 0: its content cannot be had for now, or its own time is over; the row waits for so long,
  // uncharged.
  absl::Duration put_off;
};

// A row goes back to active uncharged at most this often in a row.
inline constexpr int kMaxFreeRequeues = 3;

// REQUIRES: `result` has one entry for each of `recipients`.
Judgement Judge(const smtp::TransactionResult& result, const std::vector<std::string>& recipients,
                const SessionFacts& facts);

}  // namespace postern::delivery

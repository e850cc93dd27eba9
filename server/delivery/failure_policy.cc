#include "server/delivery/failure_policy.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace postern::delivery {
namespace {

using mail::Disposition;
using mail::RequeueReason;
using smtp::ReplyPtr;

Disposition DispositionOf(const mail::Reply& reply) {
  return reply.permanent() ? Disposition::kFailed : Disposition::kDeferred;
}

// The reply in our words for those whose fate no reply of the peer decided.
ReplyPtr LostReply(const smtp::TransactionResult& result, const SessionFacts& facts) {
  const std::string how = facts.timed_out      ? "timed out"
                          : facts.lost.empty() ? "connection lost"
                                               : facts.lost;
  return std::make_shared<const mail::Reply>(mail::InternalReply(
      451, "4.4.2",
      result.in_doubt ? absl::StrCat(how, " after the final dot; the message may have been taken")
                      : absl::StrCat(how, " at ", Name(result.stage)),
      result.stage));
}

// What decided about recipient i: its own reply, or the one that concerned the message. Null: none.
ReplyPtr Decisive(const smtp::TransactionResult& result, std::size_t i) {
  if (result.mail != nullptr && !result.mail->positive()) return result.mail;
  const ReplyPtr& own = result.recipients[i];
  if (own != nullptr && !own->positive()) return own;
  if (result.data != nullptr && !result.data->intermediate()) return result.data;
  // Accepted, or cut before its turn: the last word on the message concerns it too.
  return result.body;
}

}  // namespace

Judgement Judge(const smtp::TransactionResult& result, const std::vector<std::string>& recipients,
                const SessionFacts& facts) {
  Judgement judgement;
  ReplyPtr lost;  // made when it is first needed
  bool any_delivered = false, any_deferred = false, closed_by_421 = false, connection_lost = false;
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    hooks::RecipientOutcome outcome;
    outcome.address = recipients[i];
    outcome.reply = Decisive(result, i);
    const bool delivered =
        outcome.reply != nullptr && outcome.reply == result.body && result.body->positive();
    if (delivered) {
      outcome.disposition = Disposition::kDelivered;
      any_delivered = true;
    } else if (outcome.reply != nullptr && !outcome.reply->positive()) {
      outcome.disposition = DispositionOf(*outcome.reply);
      closed_by_421 |= outcome.reply->code == 421;
    } else {
      if (lost == nullptr) lost = LostReply(result, facts);
      outcome.reply = lost;
      outcome.disposition = Disposition::kDeferred;
      connection_lost = true;
    }
    any_deferred |= outcome.disposition == Disposition::kDeferred;
    judgement.doubts.push_back(result.in_doubt && lost != nullptr && outcome.reply == lost);
    // A deferral says more about what comes next than a failure, a delivery more than both.
    if (judgement.decisive.code == 0 || delivered ||
        (outcome.disposition == Disposition::kDeferred && !any_delivered)) {
      judgement.decisive = *outcome.reply;
    }
    judgement.recipients.push_back(std::move(outcome));
  }
  judgement.disposition = any_delivered  ? Disposition::kDelivered
                          : any_deferred ? Disposition::kDeferred
                                         : Disposition::kFailed;
  if (!any_deferred) return judgement;

  const bool first_of_session = facts.deliveries == 0;
  const bool may_requeue = facts.free_requeues < kMaxFreeRequeues;
  if (closed_by_421) {
    judgement.reason = RequeueReason::kReply421;
    // After a delivery a 421 is ordinary recycling; before one it is the host's word to all.
    judgement.charge = !may_requeue;
    judgement.pair_back_off = first_of_session;
  } else if (connection_lost) {
    judgement.in_doubt = result.in_doubt;
    judgement.reason = result.in_doubt ? RequeueReason::kInDoubt : RequeueReason::kConnectionLost;
    judgement.pair_back_off = first_of_session && !result.in_doubt;
    if (facts.cut && !result.in_doubt) {  // said nothing about the host or the message
      judgement.reason = RequeueReason::kSessionEnded;
      judgement.pair_back_off = false;
      judgement.charge = false;
      return judgement;
    }
    if (facts.spool_failed) {  // ours alone: neither the message nor the host is charged with it
      judgement.reason = RequeueReason::kLocalFault;
      judgement.pair_back_off = false;
      judgement.charge = false;
      return judgement;
    }
    if (facts.message_expired && !result.in_doubt) {
      // No fault of the host: the queue goes on, and the message expires where it waits.
      judgement.pair_back_off = false;
      judgement.charge = false;
      judgement.put_off = absl::Milliseconds(1);
      return judgement;
    }
    // A peer that closed between two transactions did not mean this message.
    const bool untouched = result.mail == nullptr && !facts.timed_out;
    judgement.charge = !(untouched && !first_of_session && may_requeue);
  }
  return judgement;
}

}  // namespace postern::delivery

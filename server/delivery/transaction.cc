// Session, second half: one transaction, from the row that is taken to the hooks that are asked.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/delivery/batch.h"
#include "server/delivery/scheduler.h"
#include "server/delivery/session.h"
#include "server/queue/retry.h"

namespace postern::delivery {
namespace {

using mail::CloseCause;
using mail::Disposition;
using Want = smtp::ClientDialogue::Want;

// How long a row waits whose content the spool cannot give: because it is spoilt, or for now.
constexpr absl::Duration kContentRetry = absl::Minutes(5);
constexpr absl::Duration kSpoolRetry = absl::Seconds(5);

// It is still to be offered in the row's present round.
bool LeftInRound(const queue::QueuedRow& row, const mail::Recipient& recipient) {
  return recipient.disposition == Disposition::kQueued ||
         (recipient.disposition == Disposition::kDeferred && recipient.changed < row.round_began);
}

}  // namespace

// Indices into the row's recipients, and their addresses, of those in this transaction.
struct Session::Batch {
  std::vector<std::size_t> indices;
  std::vector<std::string> addresses;
  base::Id message_id;
  std::string sender;
  std::uint32_t attempts_before = 0;
  bool whole = false;  // all that are left

  Batch(const queue::QueuedRow& queued, const BatchLimits& limits)
      : indices(ChooseRecipients(queued, limits)) {
    const mail::Row& row = queued.row;
    for (const std::size_t i : indices) addresses.push_back(row.recipients[i].address);
    const auto left = std::count_if(row.recipients.begin(), row.recipients.end(),
                                    [](const auto& r) { return !IsFinal(r.disposition); });
    whole = indices.size() == static_cast<std::size_t>(left);
    message_id = row.message_id;
    sender = row.sender;
    attempts_before = queued.attempts_before();
  }
};

asio::awaitable<bool> Session::Deliver(queue::RowPtr row) {
  if (row->round_began == absl::InfinitePast()) row->round_began = context_.clock.Now();
  const smtp::Capabilities& capabilities = dialogue_.capabilities();
  const BatchLimits limits{capabilities.RecipientLimit(options_->max_recipients_per_batch),
                           capabilities.rcpt_domain_max};
  const Batch batch(*row, limits);
  smtp::Transaction transaction;
  transaction.sender = batch.sender;
  transaction.recipients.assign(batch.addresses.begin(), batch.addresses.end());
  transaction.content_bytes = row->row.content_bytes;
  transaction.eight_bit = row->row.eight_bit;
  transaction.smtp_utf8 = row->row.smtp_utf8;
  if (const std::optional<mail::Reply> refusal = dialogue_.CanSend(transaction)) {
    RefuseLocally(std::move(row), batch, *refusal);
    co_return true;
  }
  ContentStore::Content content;
  if (row->row.content_bytes <= ContentStore::kSmallBytes) {
    absl::StatusOr<std::string> read = context_.spool.ReadContent(batch.message_id);
    if (!read.ok()) {
      PutOff(std::move(row), read.status());
      co_return true;
    }
    content = std::make_shared<const std::string>(*std::move(read));
  }
  const std::uint64_t bytes_before = bytes_;
  const absl::Time start = context_.clock.Steady();
  phases_.Reset();
  in_transaction_ = batch.message_id;
  const std::vector<std::size_t> everybody;
  const std::vector<std::size_t>& offered = batch.whole ? everybody : batch.indices;
  co_await Exchange(*row, transaction, offered, std::move(content));
  in_transaction_ = {};
  ++attempts_;
  recipients_ = dialogue_.rcpts_sent();
  const smtp::TransactionResult& result = dialogue_.TakeResult();
  SessionFacts facts;
  facts.deliveries = deliveries_;
  facts.free_requeues = row->free_requeues;
  facts.timed_out = timed_out_;
  facts.message_expired = message_expired_;
  facts.cut = cut_;
  facts.spool_failed = spool_failed_;
  facts.lost = lost_;
  Judgement judgement = Judge(result, batch.addresses, facts);
  if (!content_status_.ok()) {
    judgement.put_off = NoteUnreadable(batch.message_id, content_status_);
  }
  GiveUpIfLast(*row, batch, judgement);
  const bool delivered = judgement.disposition == Disposition::kDelivered;
  if (delivered) ++deliveries_;
  const bool session_over = result.session_over;

  hooks::AttemptReport report;
  report.message_id = batch.message_id;
  report.recipients = judgement.recipients;
  for (hooks::RecipientOutcome& outcome : report.recipients) {
    const bool uncharged = !judgement.charge && outcome.disposition == Disposition::kDeferred;
    if (uncharged) outcome.disposition = Disposition::kQueued;
  }
  report.disposition = judgement.disposition;
  report.reply = judgement.decisive;
  report.bytes = bytes_ - bytes_before;
  report.in_doubt = judgement.in_doubt;
  report.reason = judgement.reason;
  report.mail_time = phases_.Taken(mail::SmtpStage::kRset) + phases_.Taken(mail::SmtpStage::kMail);
  report.rcpt_time = phases_.Taken(mail::SmtpStage::kRcpt);
  report.data_time = phases_.Taken(mail::SmtpStage::kData);
  report.body_time = phases_.Taken(mail::SmtpStage::kBody);
  const absl::Duration took = context_.clock.Steady() - start;
  context_.metrics.transaction_seconds.Observe(took);
  if (context_.disposition_log != nullptr) {
    context_.disposition_log->Attempt(info_, report, batch.attempts_before);
  }
  Apply(std::move(row), batch, judgement, {&info_, took});
  if (hooks::SessionObserver* observer = context_.hook_point.observer()) {
    report.session_over = session_over;
    observer->OnDeliveryAttempt(info_, report);
  }
  if (session_over) NoteLost();
  // What a client has said meanwhile is asked for where it stands: it may have been taken back.
  std::optional<hooks::ShutdownVerdict> said;
  if (requested_.has_value() && requested_->cause == CloseCause::kRemotePolicy &&
      context_.hook_point.has_should_session_shutdown()) {
    said = std::exchange(requested_, std::nullopt);
  }
  bool ending = session_over || CheckLimits();
  const bool drains = context_.draining.load(std::memory_order_relaxed);
  if (!ending && (!said.has_value() || cause_.has_value() || drains)) ending = EndRequested();
  const bool go_on = co_await AskHooks(batch, report, ending);
  // It was said once, of what was open then, and stands nowhere.
  const bool holds = said.has_value() && !said->stands && !requested_.has_value();
  if (holds) requested_ = std::move(said);
  co_return go_on && !ending;
}

bool Session::CheckLimits() {
  const auto limit =
      static_cast<std::uint64_t>(std::max(options_->max_deliveries_per_connection, 0));
  if (limit > 0 && deliveries_ >= limit) {
    SetCause(CloseCause::kMaxDeliveries, absl::StrCat(limit));
    return true;
  }
  if (options_->max_recipients_per_connection > 0 &&
      recipients_ >= options_->max_recipients_per_connection) {
    SetCause(CloseCause::kMaxRecipients, absl::StrCat(options_->max_recipients_per_connection));
    return true;
  }
  const int mail_max = dialogue_.capabilities().mail_max;
  if (mail_max > 0 && dialogue_.mails_sent() >= mail_max) {
    SetCause(CloseCause::kPeerLimit, absl::StrCat("LIMITS MAILMAX=", mail_max));
    return true;
  }
  return false;
}

asio::awaitable<bool> Session::AskHooks(const Batch& batch, const hooks::AttemptReport& report,
                                        bool session_over) {
  if (!context_.hook_point.has_should_session_shutdown()) co_return true;
  const std::string id = batch.message_id.ToString();
  std::vector<const char*> recipients;
  recipients.reserve(batch.addresses.size());
  for (const std::string& address : batch.addresses) recipients.push_back(address.c_str());
  ec_message message{};
  message.id = id.c_str();
  message.domain = info_.pair->domain.c_str();
  message.binding_slot = info_.binding_slot;
  message.num_retries = static_cast<int>(batch.attempts_before);
  message._mailfrom = batch.sender.c_str();
  message._rcptto = recipients.front();
  message._code = report.reply.code;
  message._recipients = recipients.data();
  message._recipient_count = static_cast<int>(recipients.size());
  connection c{};
  c.fd = stream_->native_handle();
  c.deliveries = static_cast<int>(deliveries_);
  c.recipients = recipients_;
  c.domain = &pair_.domain_record();
  connection_handle handle{};
  handle.conn = &c;
  handle.binding_slot = info_.binding_slot;
  ec_message* only = &message;
  hooks::DeliveryConstruct construct;
  construct.message = &message;
  construct.conn_handle = &handle;
  construct.batch = &only;
  construct.batch_count = 1;
  construct.connection_info = &info_;
  construct.report = &report;
  construct.deliveries = deliveries_;
  construct.attempts = attempts_;
  construct.queue_depth = pair_.due_rows();
  phase_ = "verdict";
  const hooks::ShutdownVerdict verdict = co_await context_.hook_point.AskShouldSessionShutdown(
      construct, session_over, &verdict_wait_);
  if (!verdict.shutdown || verdict.result_ignored) co_return true;
  SetCause(verdict.cause, verdict.reason, verdict.provider);
  hold_ = verdict.hold;
  avoid_host_ = verdict.avoid_host;
  co_return false;
}

void Session::Apply(queue::RowPtr row, const Batch& batch, const Judgement& judgement,
                    const spool::AttemptRef& attempt) {
  hooks::DomainRecord& record = pair_.domain_record();
  row->row.last_attempt = context_.clock.Now();
  for (std::size_t i = 0; i < batch.indices.size(); ++i) {
    mail::Recipient& recipient = row->row.recipients[batch.indices[i]];
    recipient.disposition = judgement.recipients[i].disposition;
    recipient.last_reply = judgement.recipients[i].reply;
    recipient.in_doubt = judgement.doubts[i] && !IsFinal(recipient.disposition);
    recipient.unreported = true;
    // The clock may have been set back since the round began; it was offered in it all the same.
    recipient.changed = std::max(row->row.last_attempt, row->round_began);
    pair_.recorder().Note(*row, recipient);
    ++record.attempts;
    if (recipient.disposition == Disposition::kDelivered) ++record.deliveries;
    if (recipient.disposition == Disposition::kDeferred) ++record.transients;
    if (recipient.disposition == Disposition::kFailed) ++record.failures;
  }
  row->row.NoteDoubt();
  if (judgement.in_doubt) context_.metrics.in_doubt.Add();
  if (judgement.pair_back_off) {
    pair_.BackOff(judgement.reason, std::make_shared<const mail::Reply>(judgement.decisive));
  } else if (judgement.reason != mail::RequeueReason::kConnectionLost &&
             judgement.reason != mail::RequeueReason::kSessionEnded) {
    pair_.NoteSuccess();
  }
  Settle(std::move(row), judgement, attempt);
}

void Session::GiveUpIfLast(const queue::QueuedRow& row, const Batch& batch, Judgement& judgement) {
  const mail::DeliveryOptions& options = *pair_.options();
  if (options.max_retries < 0 || !judgement.charge) return;
  if (judgement.in_doubt && options.in_doubt_hold) return;
  if (row.attempts_before() < static_cast<std::uint32_t>(options.max_retries)) return;
  const std::vector<mail::Recipient>& recipients = row.row.recipients;
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    const bool offered =
        std::find(batch.indices.begin(), batch.indices.end(), i) != batch.indices.end();
    if (!offered && LeftInRound(row, recipients[i])) return;  // not the last of its round
  }
  for (hooks::RecipientOutcome& outcome : judgement.recipients) {
    if (outcome.disposition == Disposition::kDeferred) outcome.disposition = Disposition::kFailed;
  }
  if (judgement.disposition == Disposition::kDeferred) judgement.disposition = Disposition::kFailed;
}

// What becomes of the row as a whole: finished, delayed, or active again. The attempt is charged
// before it is recorded, and once for all transactions of a round.
void Session::Settle(queue::RowPtr row, const Judgement& judgement,
                     const spool::AttemptRef& attempt) {
  const bool final = row->row.final();
  const bool hold = !final && judgement.in_doubt && pair_.options()->in_doubt_hold;
  if ((final || hold || judgement.charge) && !std::exchange(row->charged, true)) {
    ++row->row.attempts;
  }
  if (final) {
    row->row.in_doubt = false;
    return pair_.Finish(std::move(row), attempt);
  }
  row->row.reason = judgement.reason;
  const bool more_to_try =
      std::any_of(row->row.recipients.begin(), row->row.recipients.end(),
                  [&row](const mail::Recipient& r) { return LeftInRound(*row, r); });
  if (judgement.put_off > absl::ZeroDuration()) {
    row->row.next_attempt = context_.clock.Now() + judgement.put_off;
    row->round_began = absl::InfinitePast();
    return pair_.Defer(std::move(row), attempt);
  }
  if (!hold && (more_to_try || !judgement.charge)) {
    if (!judgement.charge) ++row->free_requeues;
    if (!more_to_try) row->round_began = absl::InfinitePast();  // all of them once more
    pair_.recorder().Save(*row, attempt);                       // also takes back the mark
    return pair_.PutBack(std::move(row));
  }
  const mail::DeliveryOptions& options = *pair_.options();
  if (hold) {
    // The whole row, also recipients that were not offered yet: they share its next attempt.
    row->row.next_attempt = absl::InfiniteFuture();
  } else if (options.max_retries >= 0 &&
             row->row.attempts > static_cast<std::uint32_t>(options.max_retries)) {
    for (mail::Recipient& recipient : row->row.recipients) {
      if (IsFinal(recipient.disposition)) continue;
      recipient.disposition = Disposition::kFailed;
      recipient.unreported = true;
      recipient.changed = row->row.last_attempt;
      pair_.recorder().Note(*row, recipient);
    }
    return pair_.Finish(std::move(row), attempt);
  } else {
    row->free_requeues = 0;
    row->row.next_attempt =
        context_.clock.Now() + queue::RetryDelay(options, row->row.attempts, base::RandomUint64());
  }
  row->charged = false;
  row->round_began = absl::InfinitePast();
  pair_.Defer(std::move(row), attempt);
}

void Session::RefuseLocally(queue::RowPtr row, const Batch& batch, const mail::Reply& reply) {
  Judgement judgement;
  const auto shared = std::make_shared<const mail::Reply>(reply);
  for (const std::string& address : batch.addresses) {
    judgement.recipients.push_back({address, Disposition::kFailed, shared});
    judgement.doubts.push_back(false);
  }
  Apply(std::move(row), batch, judgement, {});
}

absl::Duration Session::NoteUnreadable(const base::Id& message_id, const absl::Status& why) {
  const absl::Duration wait = absl::IsUnavailable(why) ? kSpoolRetry : kContentRetry;
  base::Log().error("message {}: content cannot be read, put off for {}: {}", message_id.ToString(),
                    absl::FormatDuration(wait), why.message());
  context_.metrics.content_unreadable.Add();
  return wait;
}

void Session::PutOff(queue::RowPtr row, const absl::Status& why) {
  const absl::Duration wait = NoteUnreadable(row->row.message_id, why);
  row->row.reason = mail::RequeueReason::kLocalFault;
  row->row.next_attempt = context_.clock.Now() + wait;
  pair_.Defer(std::move(row), {});
}

}  // namespace postern::delivery

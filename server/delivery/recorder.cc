#include "server/delivery/recorder.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/queue/message_record.h"

namespace postern::delivery {

void Recorder::Note(const queue::QueuedRow& row, const mail::Recipient& recipient) {
  context_.metrics.CountRecipient(recipient.disposition, context_.clock.Now() - row.row.created);
  if (context_.disposition_log != nullptr && IsFinal(recipient.disposition)) {
    context_.disposition_log->Final(row.row, recipient, row.attempts_before());
  }
}

void Recorder::Save(queue::QueuedRow& row, const spool::AttemptRef& attempt) {
  context_.spool.Update(row.row, attempt);
  for (mail::Recipient& recipient : row.row.recipients) recipient.unreported = false;
}

void Recorder::Leave(const queue::QueuedRow& row) {
  context_.metrics.queued_rows.Add(-1);
  ages_.Remove(binding_slot_, row.row.created);
}

void Recorder::Finish(queue::RowPtr row, const spool::AttemptRef& attempt) {
  POSTERN_CHECK(row->row.final());
  Leave(*row);
  if (row->message == nullptr && row->row.row_count == 1) {
    return context_.spool.Finish(row->row, attempt);
  }
  // The other rows' threads may be here too: the spool keeps the order in which they ask.
  context_.spool.Update(row->row, attempt);
  // Without a record the message's other rows could not be read: what is set aside stays.
  if (row->message == nullptr || row->message->Finish()) {
    context_.spool.Remove(row->row.message_id, row->row.row_count);
  }
}

void Recorder::Cancel(queue::QueuedRow& row, const std::vector<std::string>& addresses,
                      const std::shared_ptr<const mail::Reply>& reply) {
  for (mail::Recipient& recipient : row.row.recipients) {
    const bool wanted = addresses.empty() || std::find(addresses.begin(), addresses.end(),
                                                       recipient.address) != addresses.end();
    if (wanted && !IsFinal(recipient.disposition)) {
      Set(row, recipient, mail::Disposition::kCancelled, reply);
    }
  }
  if (row.row.in_doubt) row.row.NoteDoubt();
}

void Recorder::Set(const queue::QueuedRow& row, mail::Recipient& recipient,
                   mail::Disposition disposition, const std::shared_ptr<const mail::Reply>& reply) {
  recipient.disposition = disposition;
  recipient.last_reply = reply;
  recipient.unreported = true;
  recipient.changed = context_.clock.Now();
  Note(row, recipient);
}

void Recorder::SettleDoubt(queue::QueuedRow& row, mail::Disposition disposition,
                           const std::shared_ptr<const mail::Reply>& reply) {
  for (mail::Recipient& recipient : row.row.recipients) {
    if (recipient.in_doubt && !IsFinal(recipient.disposition)) {
      Set(row, recipient, disposition, reply);
    }
  }
}

void Recorder::FinishAs(queue::RowPtr row, mail::Disposition disposition,
                        const std::shared_ptr<const mail::Reply>& reply) {
  for (mail::Recipient& recipient : row->row.recipients) {
    if (!IsFinal(recipient.disposition)) Set(*row, recipient, disposition, reply);
  }
  Finish(std::move(row), {});
}

}  // namespace postern::delivery

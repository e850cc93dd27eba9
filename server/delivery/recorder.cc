#include "server/delivery/recorder.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace postern::delivery {

void Recorder::Note(const mail::Row& row, const mail::Recipient& recipient) {
  context_.metrics.CountRecipient(recipient.disposition, context_.clock.Now() - row.created);
  if (context_.disposition_log != nullptr && IsFinal(recipient.disposition)) {
    context_.disposition_log->Final(row, recipient);
  }
}

void Recorder::Save(const queue::QueuedRow& row) { context_.spool.Update(row.row); }

void Recorder::Leave(const queue::QueuedRow& row) {
  context_.metrics.queued_rows.Add(-1);
  ages_.Remove(binding_slot_, row.row.created);
}

void Recorder::Finish(queue::RowPtr row) {
  POSTERN_CHECK(row->row.final());
  Leave(*row);
  const base::Id id = row->row.message_id;
  const int row_count = row->row.row_count;
  std::vector<mail::Row> finished;
  if (row->message == nullptr) {
    finished.push_back(std::move(row->row));
  } else {
    // The other rows' threads may be here too: the spool keeps the order in which they ask.
    context_.spool.Update(row->row);
    std::optional<std::vector<mail::Row>> all = row->message->Finish(std::move(row->row));
    if (!all.has_value()) return;
    finished = *std::move(all);
  }
  context_.history.Add(std::move(finished), context_.clock.Now());
  context_.spool.Remove(id, row_count);
}

void Recorder::Cancel(queue::QueuedRow& row, const std::vector<std::string>& addresses,
                      const std::shared_ptr<const mail::Reply>& reply) {
  for (mail::Recipient& recipient : row.row.recipients) {
    const bool wanted = addresses.empty() || std::find(addresses.begin(), addresses.end(),
                                                       recipient.address) != addresses.end();
    if (!wanted || IsFinal(recipient.disposition)) continue;
    recipient.disposition = mail::Disposition::kCancelled;
    recipient.last_reply = reply;
    recipient.changed = context_.clock.Now();
    Note(row.row, recipient);
  }
}

void Recorder::FinishAs(queue::RowPtr row, mail::Disposition disposition,
                        std::shared_ptr<const mail::Reply> reply) {
  for (mail::Recipient& recipient : row->row.recipients) {
    if (IsFinal(recipient.disposition)) continue;
    recipient.disposition = disposition;
    recipient.last_reply = reply;
    recipient.changed = context_.clock.Now();
    Note(row->row, recipient);
  }
  Finish(std::move(row));
}

}  // namespace postern::delivery

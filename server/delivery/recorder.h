// Recorder: writes down what became of rows, in the spool and the counters. Dispositions that are
// news (mail::Recipient::unreported) become outcomes in the same write.
//
// Thread: the scheduler thread that owns the row.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/delivery/context.h"
#include "server/queue/age_book.h"
#include "server/queue/pair_queue.h"

namespace postern::delivery {

class Recorder {
 public:
  // For the rows of a pair whose binding has this slot; `ages` has a line for each of them.
  Recorder(Context& context, queue::AgeBook& ages, int binding_slot)
      : context_(context), ages_(ages), binding_slot_(binding_slot) {}

  // Counts and logs a recipient whose disposition was just set. Once for each attempt that set it.
  void Note(const queue::QueuedRow& row, const mail::Recipient& recipient);

  // The row has changed and goes on: record its present state. `attempt`: what changed it.
  void Save(queue::QueuedRow& row, const spool::AttemptRef& attempt);

  // The row leaves the pair's queue, for another one or for good.
  void Leave(const queue::QueuedRow& row);

  // Every recipient of the row is final: record that, and delete the message if this was its last
  // row.
  void Finish(queue::RowPtr row, const spool::AttemptRef& attempt);

  // Cancels the recipients that are not final and are among these addresses (none: all); does not
  // record the row.
  void Cancel(queue::QueuedRow& row, const std::vector<std::string>& addresses,
              const std::shared_ptr<const mail::Reply>& reply);

  // Gives every recipient that is not final this disposition and reply, then finishes the row.
  void FinishAs(queue::RowPtr row, mail::Disposition disposition,
                const std::shared_ptr<const mail::Reply>& reply);

  // Gives every recipient that is in doubt this disposition and reply. Does not write.
  void SettleDoubt(queue::QueuedRow& row, mail::Disposition disposition,
                   const std::shared_ptr<const mail::Reply>& reply);

 private:
  void Set(const queue::QueuedRow& row, mail::Recipient& recipient, mail::Disposition disposition,
           const std::shared_ptr<const mail::Reply>& reply);

  Context& context_;
  queue::AgeBook& ages_;
  const int binding_slot_;
};

}  // namespace postern::delivery

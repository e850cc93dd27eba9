// Pair, second half: what an operator does to its rows. See operations.h.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/delivery/pair.h"
#include "server/delivery/routing.h"
#include "server/delivery/scheduler.h"

namespace postern::delivery {
namespace {

// The queue's domain of the row under another binding; empty: its recipients would have several.
std::string DomainUnder(const Context& context, const mail::Row& row, const std::string& binding) {
  std::string found;
  for (const mail::Recipient& recipient : row.recipients) {
    const std::string domain = recipient.address.substr(recipient.address.rfind('@') + 1);
    std::string queue_domain = QueueDomain(domain, *context.options.ForPair(domain, binding));
    if (!found.empty() && found != queue_domain) return "";
    found = std::move(queue_domain);
  }
  return found;
}

// Rows that wait for ResolveMessage and for nothing else.
bool IsHeld(const mail::Row& row) { return row.next_attempt == absl::InfiniteFuture(); }

}  // namespace

const mail::Hold* Pair::hold() {
  options();
  const std::uint64_t generation = context_.holds.generation();
  const bool over = hold_.has_value() && hold_->until <= context_.clock.Now();
  if (generation != hold_generation_ || options_->generation != hold_options_ || over) {
    hold_generation_ = generation;
    hold_options_ = options_->generation;
    hold_ = context_.holds.Find(*key_, *options_);
  }
  return hold_.has_value() ? &*hold_ : nullptr;
}

bool Pair::suspended() {
  const mail::Hold* held = hold();
  return held != nullptr && held->kind == mail::Hold::Kind::kSuspended;
}

std::uint64_t Pair::Flush(queue::RowWalk& walk, absl::Time start) {
  std::vector<queue::RowPtr> rows = queue_.TakeIf(walk, [start](const mail::Row& row) {
    // What was attempted since the call began has had its turn.
    return row.next_attempt > start && row.last_attempt < start && !IsHeld(row);
  });
  const std::uint64_t flushed = rows.size();
  for (queue::RowPtr& row : rows) {
    row->row.next_attempt = start;
    row->row.reason = mail::RequeueReason::kFlushed;
    recorder_.Save(*row, {});
    queue_.AddActive(std::move(row));
  }
  if (flushed > 0) scheduler_.MaintainSoon(this);
  return flushed;
}

std::uint64_t Pair::EndBackOff(const base::Id& only) {
  const bool waits = backoff_until_ > context_.clock.Steady() || parking_.has_value();
  if (!waits || (!only.empty() && !queue_.Holds(only))) return 0;
  backoff_until_ = backoff_until_wall_ = absl::InfinitePast();
  backoff_is_hosts_ = false;
  parking_.reset();
  EndWait();
  recovery_.reset();
  context_.board.Clear(*key_);
  scheduler_.MaintainSoon(this);
  return only.empty() ? queue_.active_size() : queue_.CountActive(only);
}

std::uint64_t Pair::FailQueued(queue::RowWalk& walk,
                               const std::shared_ptr<const mail::Reply>& reply, absl::Time start) {
  std::vector<queue::RowPtr> rows =
      queue_.TakeIf(walk, [start](const mail::Row& row) { return row.created <= start; });
  const std::uint64_t failed = rows.size();
  for (queue::RowPtr& row : rows) {
    recorder_.FinishAs(std::move(row), mail::Disposition::kFailed, reply);
  }
  return failed;
}

std::uint64_t Pair::TakeForBinding(queue::RowWalk& walk, const std::string& binding,
                                   absl::Time start, std::vector<queue::RowPtr>* moved) {
  std::vector<std::string> domains;  // of the rows that are taken
  std::vector<queue::RowPtr> rows = queue_.TakeIf(walk, [&](const mail::Row& row) {
    if (row.created > start) return false;
    std::string domain = DomainUnder(context_, row, binding);
    if (domain.empty()) return false;
    if (domain == key_->domain && binding == key_->binding) return false;  // it is there
    domains.push_back(std::move(domain));
    return true;
  });
  for (std::size_t i = 0; i < rows.size(); ++i) {
    queue::RowPtr& row = rows[i];
    row->row.pair =
        std::make_shared<const mail::PairKey>(mail::PairKey{std::move(domains[i]), binding});
    recorder_.Save(*row, {});
    recorder_.Leave(*row);  // until it is filed again
    moved->push_back(std::move(row));
  }
  return rows.size();
}

void Pair::Cancel(const mail::Row& wanted, const Cancellation& cancellation) {
  const queue::RowKey key{wanted.message_id, wanted.index};
  queue::QueuedRow* row = queue_.Find(key);
  if (row == nullptr) {
    // In a session, or just gone: what is left of it when the session gives it back is cancelled.
    if (!context_.open_rows.Contains(wanted)) return;
    std::vector<Cancellation>& asked = cancellations_[key];
    // Of all its recipients: there is nothing to add.
    if (asked.empty() || !asked.back().recipients.empty()) asked.push_back(cancellation);
    return;
  }
  recorder_.Cancel(*row, cancellation.recipients, cancellation.reply);
  scheduler_.MaintainSoon(this);
  if (row->row.final()) return recorder_.Finish(queue_.Take(key), {});
  if (!IsHeld(row->row) || row->row.in_doubt) return recorder_.Save(*row, {});  // keeps its place
  // It was held for who has just been withdrawn.
  queue::RowPtr released = queue_.Take(key);
  Release(*released);
  recorder_.Save(*released, {});
  Add(std::move(released));
}

bool Pair::CancelledMeanwhile(queue::RowPtr& row) {
  const auto found = cancellations_.find(queue::RowKey{row->row.message_id, row->row.index});
  if (found == cancellations_.end()) return false;
  const std::vector<Cancellation> asked = std::move(found->second);
  cancellations_.erase(found);
  for (const Cancellation& one : asked) recorder_.Cancel(*row, one.recipients, one.reply);
  if (IsHeld(row->row) && !row->row.in_doubt) Release(*row);
  if (row->row.final()) {
    recorder_.Finish(std::move(row), {});
    return true;
  }
  recorder_.Save(*row, {});
  return false;
}

void Pair::Release(queue::QueuedRow& row) {
  row.row.next_attempt = context_.clock.Now();
  row.row.reason = mail::RequeueReason::kFlushed;
}

std::uint64_t Pair::Resolve(const mail::Row& wanted, Resolution resolution) {
  const queue::RowKey key{wanted.message_id, wanted.index};
  const queue::QueuedRow* found = queue_.Find(key);
  if (found == nullptr || !found->row.in_doubt) return 0;
  queue::RowPtr row = queue_.Take(key);
  scheduler_.MaintainSoon(this);
  if (resolution != Resolution::kRetry) {
    const bool delivered = resolution == Resolution::kDelivered;
    recorder_.SettleDoubt(
        *row, delivered ? mail::Disposition::kDelivered : mail::Disposition::kFailed,
        std::make_shared<const mail::Reply>(mail::InternalReply(
            delivered ? 250 : 550, delivered ? "2.0.0" : "5.0.0",
            delivered ? "in doubt, resolved: the receiver has it" : "in doubt, resolved: given up",
            mail::SmtpStage::kNone)));
  }
  row->row.in_doubt = false;
  for (mail::Recipient& recipient : row->row.recipients) recipient.in_doubt = false;
  if (row->row.final()) {
    recorder_.Finish(std::move(row), {});
    return 1;
  }
  // Those who wait for another attempt, among them who was never in doubt.
  Release(*row);
  recorder_.Save(*row, {});
  Add(std::move(row));
  return 1;
}

}  // namespace postern::delivery

#include "server/delivery/intake.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/base/retry_after.h"
#include "server/delivery/routing.h"
#include "server/mail/address.h"
#include "server/queue/message_record.h"

namespace postern::delivery {
namespace {

absl::Status Invalid(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

// With when to try again, if that may help.
absl::Status NotStored(absl::Status status) {
  if (absl::IsAlreadyExists(status)) return status;
  const bool room = absl::IsResourceExhausted(status);
  const auto cause = room ? AdmissionCause::kDisk : AdmissionCause::kSpool;
  return base::WithRetryAfter(std::move(status), RetryDelay(cause));
}

bool HasEightBit(absl::string_view content) {
  return std::any_of(content.begin(), content.end(),
                     [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
}

}  // namespace

std::vector<queue::RowPtr> MakeQueued(std::vector<mail::Row> rows) {
  std::shared_ptr<queue::MessageRecord> record;
  if (rows.size() > 1)
    record = std::make_shared<queue::MessageRecord>(static_cast<int>(rows.size()));
  std::vector<queue::RowPtr> queued;
  queued.reserve(rows.size());
  for (mail::Row& row : rows) {
    auto entry = std::make_unique<queue::QueuedRow>();
    entry->row = std::move(row);
    entry->message = record;
    queued.push_back(std::move(entry));
  }
  return queued;
}

absl::Status SpoolIntake::Check(mail::Submission& submission) const {
  if (context_.draining.load(std::memory_order_relaxed)) {
    return absl::UnavailableError("draining: no new mail is taken; submit elsewhere or later");
  }
  if (absl::Status status = admission_.Admit(); !status.ok()) return status;
  if (submission.recipients.empty()) return Invalid("recipients", "there is none");
  if (submission.recipients.size() > static_cast<std::size_t>(max_recipients_)) {
    return Invalid("recipients", absl::StrCat("more than ", max_recipients_));
  }
  if (submission.content.empty()) return Invalid("content", "is empty");
  const std::uint64_t most_bytes = max_message_bytes_;
  if (submission.content.size() > most_bytes) {
    return Invalid("content", absl::StrCat("has ", submission.content.size(),
                                           " bytes; max_message_bytes is ", most_bytes));
  }
  if (submission.binding.empty()) submission.binding = std::string(mail::kDefaultBinding);
  if (!context_.options.KnowsBinding(submission.binding)) {
    return Invalid("binding", absl::StrCat("\"", submission.binding, "\" is not configured"));
  }
  if (!submission.sender.empty()) {
    const absl::StatusOr<mail::Address> sender = mail::ParseAddress(submission.sender);
    if (!sender.ok()) return Invalid("sender", sender.status().message());
    submission.smtp_utf8 |= sender->utf8();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<mail::Row>> SpoolIntake::MakeRows(
    const mail::Submission& submission) const {
  const absl::Time now = context_.clock.Now();
  std::vector<mail::Row> rows;
  absl::flat_hash_map<std::string, std::size_t> row_of_domain;  // queue domain -> index in rows
  absl::flat_hash_set<std::string> seen;
  const bool eight_bit = HasEightBit(submission.content);
  bool smtp_utf8 = submission.smtp_utf8;
  for (std::size_t i = 0; i < submission.recipients.size(); ++i) {
    absl::StatusOr<mail::Address> address = mail::ParseAddress(submission.recipients[i]);
    if (!address.ok()) {
      return Invalid(absl::StrCat("recipients[", i, "]"), address.status().message());
    }
    smtp_utf8 |= address->utf8();
    std::string text = absl::StrCat(address->local, "@", address->domain);
    // The same mailbox twice is one recipient: nobody wants the mail doubled.
    if (!seen.insert(text).second) continue;
    const auto options = context_.options.ForPair(address->domain, submission.binding);
    std::string queue_domain = QueueDomain(address->domain, *options);
    const auto [found, fresh] = row_of_domain.try_emplace(queue_domain, rows.size());
    if (fresh) {
      mail::Row& row = rows.emplace_back();
      row.message_id = submission.message_id;
      row.index = static_cast<std::uint16_t>(found->second);
      row.pair = std::make_shared<const mail::PairKey>(
          mail::PairKey{std::move(queue_domain), submission.binding});
      row.sender = submission.sender;
      row.created = now;
      row.next_attempt = now;
      const bool own_expiry = submission.expiration != absl::InfiniteDuration();
      row.expires = now + (own_expiry ? submission.expiration : options->message_expiration);
      row.priority = submission.priority;
      row.eight_bit = eight_bit;
      row.content_bytes = submission.content.size();
      row.tenant = submission.tenant;
      row.submitter = submission.submitter;
      row.token = submission.token;
    }
    rows[found->second].recipients.push_back(
        mail::Recipient{std::move(text), mail::Disposition::kQueued, nullptr, now});
  }
  for (mail::Row& row : rows) {
    row.row_count = static_cast<std::uint16_t>(rows.size());
    row.smtp_utf8 = smtp_utf8;
  }
  return rows;
}

void SpoolIntake::Submit(mail::Submission submission, Done done) {
  absl::Status status = Check(submission);
  if (!status.ok()) return done(std::move(status));
  submission.message_id = base::NewId(context_.clock.Now());
  absl::StatusOr<std::vector<mail::Row>> made = MakeRows(submission);
  if (!made.ok()) return done(made.status());
  // Shared, because std::function must be copyable; there is one owner.
  auto rows = std::make_shared<std::vector<mail::Row>>(*std::move(made));
  const std::vector<mail::Row>& to_store = *rows;
  if (submission.token.empty()) {
    return context_.spool.Store(std::move(submission.content), to_store,
                                [this, rows, done = std::move(done)](absl::Status stored) {
                                  if (!stored.ok()) return done(NotStored(std::move(stored)));
                                  done(Accept(std::move(*rows)));
                                });
  }
  spool::TokenClaim claim{submission.submitter, std::move(submission.token), submission.digest};
  context_.spool.StoreOnce(std::move(claim), std::move(submission.content), to_store,
                           [this, rows, done = std::move(done)](
                               absl::StatusOr<std::optional<spool::StoredMessage>> stored) {
                             if (!stored.ok()) return done(NotStored(stored.status()));
                             if (!stored->has_value()) return done(Accept(std::move(*rows)));
                             Receipt receipt;
                             receipt.duplicate = true;
                             receipt.message_id = (**stored).message_id;
                             for (spool::StoredMessage::Row& row : (**stored).rows) {
                               receipt.rows.push_back({std::move(row.pair), row.recipients});
                             }
                             done(std::move(receipt));
                           });
}

Receipt SpoolIntake::Accept(std::vector<mail::Row> rows) {
  context_.metrics.accepted_messages.Add();
  Receipt receipt;
  receipt.message_id = rows.front().message_id;
  for (const mail::Row& row : rows) {
    receipt.rows.push_back({*row.pair, static_cast<std::uint32_t>(row.recipients.size())});
  }
  for (queue::RowPtr& row : MakeQueued(std::move(rows))) enqueue_(std::move(row));
  return receipt;
}

}  // namespace postern::delivery

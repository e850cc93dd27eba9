#include "server/rpc/convert_delivery.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/retry_after.h"
#include "server/rpc/convert.h"

namespace postern::rpc {
namespace {

void FillRow(const mail::Row& row, bool in_session, const mail::BindingTable& bindings,
             v1::MessageRow* out) {
  if (row.pair != nullptr) {
    out->set_queue_domain(row.pair->domain);
    out->mutable_binding()->set_name(row.pair->binding);
    out->mutable_binding()->set_slot(bindings.Find(row.pair->binding).value_or(0));
  }
  const bool final = row.final();
  if (!final) {
    out->set_reason(ToProto(row.reason));
    const bool waits =
        !in_session && row.next_attempt != absl::InfiniteFuture() && row.attempts > 0;
    if (waits) *out->mutable_next_attempt() = ToProto(row.next_attempt);
  }
  out->set_attempts(row.attempts);
  if (row.last_attempt != absl::InfinitePast()) {
    *out->mutable_last_attempt() = ToProto(row.last_attempt);
  }
  out->set_in_session(in_session);
  out->set_in_doubt(row.in_doubt);
  for (const mail::Recipient& recipient : row.recipients) {
    v1::RecipientState* state = out->add_recipients();
    state->set_address(recipient.address);
    state->set_disposition(ToProto(recipient.disposition));
    state->set_attempts(row.attempts);
    if (recipient.last_reply != nullptr) {
      ToProto(*recipient.last_reply, state->mutable_last_reply());
    }
    if (recipient.changed != absl::InfinitePast()) {
      *state->mutable_changed() = ToProto(recipient.changed);
    }
  }
  // Behind a gateway the queue's domain is the gateway's name.
  if (!row.recipients.empty()) {
    const std::string& address = row.recipients.front().address;
    const std::size_t at = address.rfind('@');
    if (at != std::string::npos) out->set_domain(absl::AsciiStrToLower(address.substr(at + 1)));
  }
}

bool EightBit(const std::string& content) {
  return !std::all_of(content.begin(), content.end(), absl::ascii_isascii);
}

}  // namespace

absl::StatusOr<mail::Submission> TakeSubmission(v1::SubmitRequest& request) {
  if (request.content().size() > kMaxContentBytes) {
    return absl::InvalidArgumentError(absl::StrCat("content: ", request.content().size(),
                                                   " bytes, the limit is ", kMaxContentBytes));
  }
  if (request.body() == v1::BODY_TYPE_7BIT && EightBit(request.content())) {
    return absl::InvalidArgumentError("body: BODY_TYPE_7BIT, but content has octets above 127");
  }
  mail::Submission out;
  if (request.has_message_expiration()) {
    absl::StatusOr<absl::Duration> expiration =
        PositiveDuration(request.message_expiration(), "message_expiration", kMaxExpiration);
    if (!expiration.ok()) return expiration.status();
    out.expiration = *expiration;
  }
  out.sender = std::move(*request.mutable_sender());
  out.recipients.reserve(static_cast<std::size_t>(request.recipients_size()));
  for (std::string& recipient : *request.mutable_recipients()) {
    out.recipients.push_back(std::move(recipient));
  }
  out.content = std::move(*request.mutable_content());
  out.binding = std::move(*request.mutable_binding());
  out.smtp_utf8 = request.smtputf8();
  return out;
}

void ToProto(const delivery::Receipt& receipt, v1::SubmitReceipt* out) {
  out->set_message_id(receipt.message_id.ToString());
  out->set_durability(v1::DURABILITY_SYNCED);
  for (const delivery::ReceiptRow& filed : receipt.rows) {
    v1::ReceiptRow* row = out->add_rows();
    row->set_domain(filed.pair.domain);
    row->set_binding(filed.pair.binding);
    row->set_recipients(filed.recipients);
  }
}

void ToProto(const absl::Status& error, v1::SubmitError* out) {
  out->set_code(static_cast<std::int32_t>(error.code()));
  out->set_message(Utf8(error.message()));
  if (absl::IsInvalidArgument(error) || absl::IsUnimplemented(error)) {
    out->set_field(FieldOf(out->message()));
  }
  if (const std::optional<absl::Duration> delay = base::RetryAfter(error)) {
    *out->mutable_retry_after() = ToProto(*delay);
  }
}

void ToProto(const delivery::MessageView& message, const mail::BindingTable& bindings,
             v1::Message* out) {
  if (message.rows.empty()) return;
  const mail::Row& first = message.rows.front();
  out->set_message_id(first.message_id.ToString());
  out->set_sender(first.sender);
  *out->mutable_submitted() = ToProto(first.created);
  if (first.expires != absl::InfiniteFuture()) *out->mutable_expires() = ToProto(first.expires);
  out->set_size_bytes(static_cast<std::int64_t>(first.content_bytes));
  for (const mail::Row& row : message.rows) {
    const bool in_session = std::find(message.in_session.begin(), message.in_session.end(),
                                      row.index) != message.in_session.end();
    FillRow(row, in_session, bindings, out->add_rows());
  }
}

absl::StatusOr<delivery::MessageSource::Query> ToQuery(const v1::ListMessagesRequest& request) {
  delivery::MessageSource::Query out;
  out.domain = absl::AsciiStrToLower(request.domain());
  out.binding = request.binding();
  for (int i = 0; i < request.states_size(); ++i) {
    if (request.states(i) == v1::DISPOSITION_UNSPECIFIED) {
      return absl::InvalidArgumentError(absl::StrCat("states[", i, "]: names no state"));
    }
    out.states.push_back(static_cast<mail::Disposition>(request.states(i)));
  }
  if (out.states.empty()) {
    out.states = {mail::Disposition::kQueued, mail::Disposition::kDeferred};
  }
  const absl::StatusOr<int> page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  out.page_size = *page_size;
  if (!request.page_token().empty()) {
    absl::StatusOr<base::Id> after = IdFromText(request.page_token(), "page_token");
    if (!after.ok()) return absl::InvalidArgumentError("page_token: is not one of ours");
    out.after = *after;
  }
  return out;
}

}  // namespace postern::rpc

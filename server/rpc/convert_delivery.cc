#include "server/rpc/convert_delivery.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/retry_after.h"
#include "server/mail/hold.h"
#include "server/rpc/convert.h"

namespace postern::rpc {
namespace {

std::string DomainOf(const std::string& address) {
  const std::size_t at = address.rfind('@');
  return at == std::string::npos ? "" : mail::NormalDomain(address.substr(at + 1));
}

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
    const bool waits = !in_session && row.next_attempt != absl::InfiniteFuture() &&
                       row.next_attempt != absl::InfinitePast();
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
  if (!row.recipients.empty()) out->set_domain(DomainOf(row.recipients.front().address));
}

// The reply of the first outcome that is not a delivery, else of the first.
const mail::Reply* DecisiveReply(const spool::OutcomeRecord& record) {
  const mail::Recipient* decisive = nullptr;
  for (const std::uint32_t i : record.news) {
    const mail::Recipient& recipient = record.row.recipients[i];
    const bool refused = recipient.disposition != mail::Disposition::kDelivered;
    if (decisive == nullptr || refused) decisive = &recipient;
    if (refused) break;
  }
  return decisive == nullptr ? nullptr : decisive->last_reply.get();
}

void FillAttempt(const spool::OutcomeRecord& record, const mail::BindingTable& bindings,
                 v1::AttemptRecord* out) {
  mail::ConnectionInfo connection = *record.connection;
  connection.pair = record.row.pair;
  connection.binding_slot = bindings.Find(record.row.pair->binding).value_or(0);
  *out->mutable_time() = ToProto(record.time);
  ToProto(connection, out->mutable_connection());
  if (const mail::Reply* reply = DecisiveReply(record)) ToProto(*reply, out->mutable_reply());
  *out->mutable_took() = ToProto(record.took);
}

// Of all that a submission says but its token. Leaves the request as it was.
base::Digest DigestOf(v1::SubmitRequest& request) {
  // The content apart: it may be large, and need not be copied to be looked at.
  std::string token = std::move(*request.mutable_token());
  std::string content = std::move(*request.mutable_content());
  request.clear_token();
  request.clear_content();
  std::string envelope;
  {
    google::protobuf::io::StringOutputStream stream(&envelope);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  base::SipHash hash(0, 0);
  hash.Add(absl::StrCat(envelope.size(), ":"));
  hash.Add(envelope);
  hash.Add(content);
  *request.mutable_token() = std::move(token);
  *request.mutable_content() = std::move(content);
  return hash.Finish();
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
  if (request.token().size() > kMaxTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("token: ", request.token().size(), " bytes, the limit is ", kMaxTokenBytes));
  }
  mail::Submission out;
  if (!request.token().empty()) {
    out.digest = DigestOf(request);
    out.token = std::move(*request.mutable_token());
  }
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
  out->set_duplicate(receipt.duplicate);
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
  if (absl::IsInvalidArgument(error) || absl::IsUnimplemented(error) ||
      absl::IsAlreadyExists(error)) {
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
  // All three are in order of the rows' indices.
  auto open = message.in_session.begin();
  auto record = message.history.begin();
  for (const mail::Row& row : message.rows) {
    while (open != message.in_session.end() && *open < row.index) ++open;
    while (record != message.history.end() && record->row.index < row.index) ++record;
    const bool in_session = open != message.in_session.end() && *open == row.index;
    v1::MessageRow* filled = out->add_rows();
    FillRow(row, in_session, bindings, filled);
    for (; record != message.history.end() && record->row.index == row.index; ++record) {
      if (record->connection.has_value()) FillAttempt(*record, bindings, filled->add_history());
    }
  }
}

void ToProto(const spool::OutcomeRecord& record, std::size_t position,
             const mail::BindingTable& bindings, v1::Outcome* out) {
  const mail::Row& row = record.row;
  const mail::Recipient& recipient = row.recipients[record.news[position]];
  out->set_message_id(row.message_id.ToString());
  out->set_recipient(recipient.address);
  out->set_domain(DomainOf(recipient.address));
  out->mutable_binding()->set_name(row.pair->binding);
  out->mutable_binding()->set_slot(bindings.Find(row.pair->binding).value_or(0));
  out->set_disposition(ToProto(recipient.disposition));
  if (recipient.last_reply != nullptr) ToProto(*recipient.last_reply, out->mutable_reply());
  out->set_attempts(row.attempts);
  *out->mutable_time() = ToProto(record.time);
  out->set_token(row.token);
}

std::string ToText(const OutcomeCursor& cursor) {
  return absl::StrCat(absl::Hex(cursor.log, absl::kZeroPad16), "-", cursor.sequence);
}

absl::StatusOr<OutcomeCursor> CursorFromText(const std::string& text, absl::string_view path) {
  OutcomeCursor cursor;
  const absl::string_view view(text);
  const bool ours = text.size() > 17 && text[16] == '-' &&
                    absl::SimpleHexAtoi(view.substr(0, 16), &cursor.log) &&
                    absl::SimpleAtoi(view.substr(17), &cursor.sequence) && ToText(cursor) == text;
  if (!ours) return absl::InvalidArgumentError(absl::StrCat(path, ": is not one of ours"));
  return cursor;
}

absl::StatusOr<delivery::MessageSource::Query> ToQuery(const v1::ListMessagesRequest& request) {
  delivery::MessageSource::Query out;
  out.domain = mail::NormalDomain(request.domain());
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

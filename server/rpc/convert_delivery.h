// proto <-> values for the service Delivery. See convert.h.
#pragma once

#include "absl/status/statusor.h"
#include "postern/v1/delivery.pb.h"
#include "server/delivery/control.h"
#include "server/mail/binding.h"
#include "server/mail/row.h"

namespace postern::rpc {

inline constexpr std::size_t kMaxContentBytes = std::size_t{50} << 20;
inline constexpr std::size_t kMaxTokenBytes = 128;
inline constexpr absl::Duration kMaxExpiration = absl::Hours(30 * 24);

// Takes content and strings out of `request`. INVALID_ARGUMENT for what can be seen without the
// configuration: sizes, message_expiration, body. Addresses and binding are the intake's to check.
absl::StatusOr<mail::Submission> TakeSubmission(v1::SubmitRequest& request);

void ToProto(const delivery::Receipt& receipt, v1::SubmitReceipt* out);
void ToProto(const absl::Status& error, v1::SubmitError* out);
// `bindings` knows the slots.
void ToProto(const delivery::MessageView& message, const mail::BindingTable& bindings,
             v1::Message* out);

// The outcome at a position in record.news.
void ToProto(const spool::OutcomeRecord& record, std::size_t position,
             const mail::BindingTable& bindings, v1::Outcome* out);

// A place in the outcomes of one spool, as clients see it.
struct OutcomeCursor {
  std::uint64_t log = 0;  // of which spool; see spool::OutcomeSource::Range
  std::uint64_t sequence = 0;
};
std::string ToText(const OutcomeCursor& cursor);
// INVALID_ARGUMENT naming `path` unless `text` is a cursor of ours.
absl::StatusOr<OutcomeCursor> CursorFromText(const std::string& text, absl::string_view path);

absl::StatusOr<delivery::MessageSource::Query> ToQuery(const v1::ListMessagesRequest& request);

}  // namespace postern::rpc

// proto <-> values for the service Delivery. See convert.h.
#pragma once

#include "absl/status/statusor.h"
#include "postern/v1/delivery.pb.h"
#include "server/delivery/control.h"
#include "server/mail/binding.h"
#include "server/mail/row.h"

namespace postern::rpc {

inline constexpr std::size_t kMaxContentBytes = std::size_t{50} << 20;
inline constexpr absl::Duration kMaxExpiration = absl::Hours(30 * 24);

// Takes content and strings out of `request`. INVALID_ARGUMENT for what can be seen without the
// configuration: sizes, message_expiration, body. Addresses and binding are the intake's to check.
absl::StatusOr<mail::Submission> TakeSubmission(v1::SubmitRequest& request);

void ToProto(const delivery::Receipt& receipt, v1::SubmitReceipt* out);
void ToProto(const absl::Status& error, v1::SubmitError* out);
// `bindings` knows the slots.
void ToProto(const delivery::MessageView& message, const mail::BindingTable& bindings,
             v1::Message* out);

absl::StatusOr<delivery::MessageSource::Query> ToQuery(const v1::ListMessagesRequest& request);

}  // namespace postern::rpc

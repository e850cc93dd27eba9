// proto <-> values for what operators do. See convert.h.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "postern/v1/control.pb.h"
#include "postern/v1/delivery.pb.h"
#include "server/delivery/operations.h"
#include "server/mail/hold.h"

namespace postern::rpc {

inline constexpr std::size_t kMaxAdminReasonBytes = 256;
inline constexpr absl::Duration kLongestSuspension = absl::Hours(366 * 24);

// All of them: INVALID_ARGUMENT names the field.
absl::StatusOr<mail::Scope> ToScope(const v1::Scope& scope);
// `since` is left to who puts it in force.
absl::StatusOr<mail::Hold> ToHold(const v1::SuspendRequest& request, absl::Time now,
                                  std::string who);
// The reply to fail mail with, the default one if none is given.
absl::StatusOr<mail::Reply> ToFailReply(const v1::Reply& reply);
absl::StatusOr<delivery::Resolution> ToResolution(v1::InDoubtResolution resolution);
// At most kMaxAdminReasonBytes.
absl::Status CheckReason(const std::string& reason);

void ToProto(const mail::Hold& hold, v1::Suspension* out);

}  // namespace postern::rpc

// Holds as notes of the spool. FORMAT.md is the page. Thread: any.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/mail/hold.h"

namespace postern::spool {

// What the keys of all holds begin with.
inline constexpr absl::string_view kHoldPrefix = "hold/";

// One key for each kind and scope.
std::string HoldKey(const mail::Hold& hold);
std::string EncodeHold(const mail::Hold& hold);

// UNIMPLEMENTED: a newer version wrote it. DATA_LOSS: anything else that is wrong with it.
absl::StatusOr<mail::Hold> DecodeHold(absl::string_view value);

}  // namespace postern::spool

// When to try again, told along with a status that refuses something for now.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace postern::base {

// `status` with the delay; whole seconds, at least 1. An OK status stays as it is.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);

// The delay that came with it; nothing if none did.
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

}  // namespace postern::base

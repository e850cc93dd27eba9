// Which addresses may be listened on in plaintext.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace postern::rpc {

// INVALID_ARGUMENT unless `address` is "unix:PATH" or HOST:PORT with a numeric port, and unless
// HOST is loopback ("localhost", 127.0.0.0/8, [::1]) or `insecure` says that anything goes.
absl::Status CheckListener(const std::string& address, bool insecure);

}  // namespace postern::rpc

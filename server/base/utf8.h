// Utf8: text of peers, which is any bytes, as text that others may rely on.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace postern::base {

// `text` with every byte that is not part of valid UTF-8 (RFC 3629) replaced by '?', at most
// `max_bytes` long, which never cuts a sequence.
std::string Utf8(absl::string_view text, std::size_t max_bytes = std::string::npos);

}  // namespace postern::base

// The host's own name.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace postern::config {

// The fully qualified name of this host: what the kernel has, if that has a dot, else the first
// name with a dot beside it in `hosts` (the text of /etc/hosts), else `kernel_name` alone. Never
// asks DNS: a start must not wait for it.
std::string QualifiedName(absl::string_view kernel_name, absl::string_view hosts);

// QualifiedName of this host, in lower case; "localhost" if it has no name that is one.
std::string SystemName();

}  // namespace postern::config

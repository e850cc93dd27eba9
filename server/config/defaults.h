// Defaults of the configuration as text, for people: what a key that is not set stands for.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"

namespace postern::config {

// The default of a field as the file would write it ("32", "5m", "[5m, 10m]"); empty: it has no
// fixed one (none at all, or it depends on the host). tests/unit/config compares every one of them
// with what the program does.
absl::string_view DefaultText(const google::protobuf::FieldDescriptor& field);

// The whole configuration as YAML: every key that is served, at its default, under the comments of
// the schema; what has no default is commented out. Read back it is a valid configuration that
// behaves like one in which only server.spool_directory is set.
std::string PrintDefaults();

}  // namespace postern::config

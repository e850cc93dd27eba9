// YAML out of a configuration, as yaml_walker.h reads it.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace postern::config {

// What is set in `message`, field by field in the order of the schema, one a line; reading it gives
// the same message, but for durations that are no whole milliseconds. Secrets are written as they
// are: see Redacted(). REQUIRES: the message is postern.v1.Config or a part of it.
std::string ToYaml(const google::protobuf::Message& message);

// Text as a YAML scalar, in quotes where it needs them.
std::string YamlScalar(absl::string_view text);

}  // namespace postern::config

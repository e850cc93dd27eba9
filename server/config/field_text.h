// One value of the file, by the type of its field.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace postern::config {

bool IsDuration(const google::protobuf::FieldDescriptor& field);

// Sets the field of `message`, or adds to it if it is a list, what `text` says; `quoted`: the file
// had it in quotes. INVALID_ARGUMENT saying what was expected; a list then gets a default entry, so
// that the others keep their places. REQUIRES: the field is no group and no map.
absl::Status SetFieldText(const std::string& text, bool quoted,
                          const google::protobuf::FieldDescriptor& field,
                          google::protobuf::Message& message);

}  // namespace postern::config

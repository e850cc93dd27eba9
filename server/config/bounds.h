// Bounds of the numbers and durations of the configuration: one table for all of them.
#pragma once

#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "server/config/problems.h"

namespace postern::config {

// Reports every number and duration that is set in `message`, or in a group inside it, and out of
// its bounds. `path` is where the message stands.
void CheckBounds(const google::protobuf::Message& message, const std::string& path,
                 Problems& problems);

// True if the table has the field.
bool HasBounds(const google::protobuf::FieldDescriptor& field);

}  // namespace postern::config

// YamlWalker: fills a protobuf message from YAML by the message's own descriptor.
//
// Keys are field names. Durations, sizes and enums are written as in values.h; other fields take
// the YAML type of the same kind, and nothing is converted: "25" in quotes is no number. A list, a
// map or a group without a value (its entries commented out) is not set. Anchors and aliases may be
// used. A field marked (not_served) is refused wherever it is set.
#pragma once

#include <string>

#include "google/protobuf/message.h"
#include "server/config/problems.h"

namespace postern::config {

// Reads `text` into `message`, and every error and the line of every key into `problems`. What
// could not be read is left at its default; list entries keep their places. Never throws.
// `text` may be anything; more than 16 MiB is refused.
// REQUIRES: the message is postern.v1.Config or a part of it.
void WalkYaml(const std::string& text, google::protobuf::Message& message, Problems& problems);

}  // namespace postern::config

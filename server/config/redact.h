// Secrets of the configuration: fields with the option (sensitive).
#pragma once

#include <string>

#include "google/protobuf/message.h"
#include "postern/v1/config.pb.h"
#include "server/config/problems.h"

namespace postern::config {

// A copy that may be shown: "<redacted>" in place of every secret that is set.
postern::v1::Config Redacted(const postern::v1::Config& config);

// Reports secrets that are "<redacted>": what was shown cannot be put in force again as it is.
void CheckRedacted(const google::protobuf::Message& message, const std::string& path,
                   Problems& problems);

}  // namespace postern::config

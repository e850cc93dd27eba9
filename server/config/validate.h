// Validate: what the types of config.proto cannot say.
#pragma once

#include "postern/v1/config.pb.h"
#include "server/config/problems.h"

namespace postern::config {

// Reports everything in `config` that makes no sense: values out of bounds, addresses and names
// that are none, what is required and missing, names that are there twice, options that only the
// widest scope has. Asks neither the network nor the file system.
void Validate(const postern::v1::Config& config, Problems& problems);

}  // namespace postern::config

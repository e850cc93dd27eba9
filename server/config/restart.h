// Which changes of the configuration take effect at a restart only.
#pragma once

#include <string>
#include <vector>

#include "postern/v1/config.pb.h"

namespace postern::config {

// Paths ("server.scheduler_threads", "modules") at which `next` differs from what the process was
// started with, and which it reads at the start only; everything else takes effect at once.
std::vector<std::string> RestartPaths(const postern::v1::Config& running,
                                      const postern::v1::Config& next);

}  // namespace postern::config

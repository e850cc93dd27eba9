// `postern submit`: what the arguments ask for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "postern/v1/delivery.pb.h"

namespace postern::client {

struct SubmitOptions {
  std::string from;  // empty = null sender
  std::vector<std::string> to;
  std::string binding;
  std::string file = "-";  // "-" = standard input
  std::string expires;     // "" = the server's option
  std::string token;
  int count = 1;
};

// The request without its content. `expires` must have been checked by ParseDuration().
v1::SubmitRequest BuildSubmit(const SubmitOptions& options);

// How many copies of a submission of `bytes` go into one frame of SubmitStream: as many as fit into
// 256 KiB, 1 to 64.
int CopiesPerFrame(std::size_t bytes);

}  // namespace postern::client

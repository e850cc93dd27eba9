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
  std::string file;     // "-" = standard input; "" = the same, or with a batch no message
  std::string expires;  // "" = the server's option
  std::string token;
  std::string batch;  // file with a submission a line, "-" = standard input; "" = none
  int count = 1;
};

// The request without its content. `expires` must have been checked by ParseDuration().
v1::SubmitRequest BuildSubmit(const SubmitOptions& options);

}  // namespace postern::client

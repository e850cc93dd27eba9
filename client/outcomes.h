// `postern outcomes`: arguments to request, outcomes to text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postern/v1/delivery.pb.h"

namespace postern::client {

struct OutcomesOptions {
  std::string consumer;  // "" = only look
  std::string from;      // a cursor; "" = the consumer's
  bool acknowledge = false;
  bool final_only = false;
  std::uint64_t count = 0;  // 0 = no end
  std::vector<std::string> domains;
  std::vector<std::string> bindings;
};

v1::OutcomesRequest BuildOutcomes(const OutcomesOptions& options);

// "14:03:59.120  0f3c5d0a...  b@example.net  delivered  250 2.0.0 ok".
std::string FormatOutcome(const v1::Outcome& outcome, bool colours = false);

// "gap: 12 outcomes lost (retention)".
std::string FormatOutcomesGap(const v1::OutcomesGap& gap);

}  // namespace postern::client

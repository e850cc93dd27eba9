// Which recipients of a row one transaction is for.
//
// Pure. Thread: any.
#pragma once

#include <cstddef>
#include <vector>

#include "server/queue/pair_queue.h"

namespace postern::delivery {

struct BatchLimits {
  int recipients = 1;  // at most; less than 1 is 1
  int domains = 0;     // among them (RFC 9422 §4.3, RCPTDOMAINMAX); 0: any number
};

// Indices of recipients, ascending. Those that were never offered go first, then those of earlier
// rounds; when there are none, all that are left. Recipients of domains beyond the limit are passed
// over: they are for the next transaction. Empty only if every recipient is final.
std::vector<std::size_t> ChooseRecipients(const queue::QueuedRow& queued,
                                          const BatchLimits& limits);

}  // namespace postern::delivery

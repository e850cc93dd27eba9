// `postern flush --wait`: what is left of the mail that was made due.
#pragma once

#include <cstdint>
#include <string>

#include "postern/v1/control.pb.h"

namespace postern::client {

// Rows of the queues of a scope.
struct FlushProgress {
  std::uint64_t due = 0;          // and may be delivered, or are in a session
  std::uint64_t delayed = 0;      // wait for their next attempt, again or of old
  std::uint64_t stopped = 0;      // due in queues that are suspended or held
  std::uint64_t queues = 0;       // with mail that is due and not stopped
  std::uint64_t backing_off = 0;  // of these, how many wait for their hosts
};

// Counts a queue in.
void Count(const v1::Queue& queue, FlushProgress& progress);

// "12 rows are due in 3 queues, 1 of them in back-off".
std::string DescribeDue(const FlushProgress& progress);

// "2 rows are delayed, 5 wait in queues that are suspended or held"; what there is none of is left
// out; "nothing waits".
std::string DescribeRest(const FlushProgress& progress);

}  // namespace postern::client

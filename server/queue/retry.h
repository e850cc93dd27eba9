// When to try again, and how many connections to have. Pure functions of the options.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "server/mail/options.h"

namespace postern::queue {

// The wait after the `failures`-th failure in a row (from 1): the schedule's entry, the last one
// repeating, varied by retry_jitter. `random` is any uniformly random number.
absl::Duration RetryDelay(const mail::DeliveryOptions& options, std::uint32_t failures,
                          std::uint64_t random);

// How many connections a pair wants for `rows` rows that wait or are in a session: the square root,
// so that a few rows do not open a connection each and one stuck session does not block the rest;
// at most max_outbound_connections.
std::size_t ConnectionGoal(const mail::DeliveryOptions& options, std::size_t rows);

}  // namespace postern::queue

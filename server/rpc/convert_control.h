// proto <-> values for the service Control. See convert.h.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "postern/v1/control.pb.h"
#include "server/bridge/filter.h"
#include "server/delivery/control.h"

namespace postern::rpc {

inline constexpr absl::Duration kMaxDrainBudget = absl::Hours(1);

absl::StatusOr<bridge::Matcher> ToMatcher(const v1::Filter& filter);

// One page of what matches, ordered as the contract says. INVALID_ARGUMENT: page_size, page_token.
absl::Status ToPage(const v1::ListQueuesRequest& request, std::vector<delivery::QueueInfo> queues,
                    absl::Time now, v1::ListQueuesResponse* out);
absl::Status ToPage(const v1::ListConnectionsRequest& request,
                    std::vector<delivery::ConnectionEntry> connections, absl::Time now,
                    v1::ListConnectionsResponse* out);

// `budget` when none is given. INVALID_ARGUMENT: out of bounds.
absl::StatusOr<absl::Duration> DrainBudget(const v1::DrainRequest& request, absl::Duration budget);
void ToProto(const delivery::DrainProgress& progress, absl::Duration elapsed,
             absl::Duration time_left, v1::DrainProgress* out);

}  // namespace postern::rpc

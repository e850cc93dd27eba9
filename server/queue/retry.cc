#include "server/queue/retry.h"

#include <algorithm>
#include <cmath>

namespace postern::queue {

absl::Duration RetryDelay(const mail::DeliveryOptions& options, std::uint32_t failures,
                          std::uint64_t random) {
  if (options.retry_schedule.empty()) return absl::Minutes(5);
  const std::size_t last = options.retry_schedule.size() - 1;
  const std::size_t step = std::min<std::size_t>(failures == 0 ? 0 : failures - 1, last);
  constexpr double kScale = 1.0 / 18446744073709551616.0;  // 2^-64
  const double unit = static_cast<double>(random) * kScale * 2 - 1;
  return options.retry_schedule[step] * (1 + options.retry_jitter * unit);
}

std::size_t ConnectionGoal(const mail::DeliveryOptions& options, std::size_t rows) {
  const auto limit = static_cast<std::size_t>(std::max(options.max_outbound_connections, 1));
  const double root = std::ceil(std::sqrt(static_cast<double>(rows)));
  return std::min(limit, static_cast<std::size_t>(root));
}

}  // namespace postern::queue

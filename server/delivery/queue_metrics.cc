#include "server/delivery/queue_metrics.h"

#include <algorithm>
#include <string>
#include <utility>

namespace postern::delivery {

void BindingTotals::Add(const BindingTotals& other) {
  queues += other.queues;
  active += other.active;
  delayed += other.delayed;
  in_session += other.in_session;
  oldest = std::min(oldest, other.oldest);
}

QueueMetrics::QueueMetrics(base::Registry& registry, const mail::BindingTable& bindings,
                           const base::Clock& clock,
                           std::function<std::vector<BindingTotals>()> totals)
    : registry_(registry), bindings_(bindings), clock_(clock), totals_(std::move(totals)) {
  registry_.AddCollector([this] { Collect(); });
}

void QueueMetrics::Collect() {
  const std::vector<BindingTotals> totals = totals_();
  for (std::size_t slot = 0; slot < totals.size(); ++slot) {
    const BindingTotals& total = totals[slot];
    const std::string binding = bindings_.NameOf(static_cast<int>(slot));
    const auto rows = [&](const char* state, std::uint64_t count) {
      registry_
          .AddGauge("postern_queue_rows",
                    "Rows by binding: due now, waiting for their next attempt, in a session.",
                    {{"binding", binding}, {"state", state}})
          .Set(static_cast<std::int64_t>(count));
    };
    rows("active", total.active);
    rows("delayed", total.delayed);
    rows("in_session", total.in_session);
    registry_
        .AddGauge("postern_queues", "Queues that have mail or a connection.",
                  {{"binding", binding}})
        .Set(static_cast<std::int64_t>(total.queues));
    const bool any = total.oldest != absl::InfiniteFuture();
    const absl::Duration age = any ? clock_.Now() - total.oldest : absl::ZeroDuration();
    registry_
        .AddGauge("postern_queue_oldest_age_seconds",
                  "Since the oldest row was submitted, to within 10 s; 0 without mail.",
                  {{"binding", binding}})
        .Set(std::max<std::int64_t>(absl::ToInt64Seconds(age), 0));
  }
}

}  // namespace postern::delivery

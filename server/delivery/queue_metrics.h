// QueueMetrics: size and age of the queues, summed up by binding, when /metrics is read.
//
// Not by domain: there may be a hundred thousand. Thread: any, several at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/mail/binding.h"

namespace postern::delivery {

// All queues of one binding.
struct BindingTotals {
  std::uint64_t queues = 0;  // that have mail or a connection
  std::uint64_t active = 0;  // rows, as in QueueInfo
  std::uint64_t delayed = 0;
  std::uint64_t in_session = 0;
  absl::Time oldest = absl::InfiniteFuture();  // submission of the oldest row; infinite: none

  void Add(const BindingTotals& other);
};

class QueueMetrics {
 public:
  // `totals`: by slot of the binding; asks the scheduler threads, so it takes their time, bounded.
  // Everything must outlive the registry's last Render().
  QueueMetrics(base::Registry& registry, const mail::BindingTable& bindings,
               const base::Clock& clock, std::function<std::vector<BindingTotals>()> totals);

 private:
  void Collect();

  base::Registry& registry_;
  const mail::BindingTable& bindings_;
  const base::Clock& clock_;
  const std::function<std::vector<BindingTotals>()> totals_;
};

}  // namespace postern::delivery

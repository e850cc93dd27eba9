// MethodStats: postern_rpc_calls_total{method,code} and postern_rpc_in_flight{method}.
//
//   InFlight call(stats);           one more in flight
//   ...
//   call.Ended(status);             counted by its code; one fewer
//
// Thread: the objects of one queue only, except the metrics themselves.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "server/base/metrics.h"

namespace postern::rpc {

class MethodStats {
 public:
  // `method` is "Delivery.Submit". `registry` must outlive this.
  MethodStats(base::Registry& registry, std::string method);
  void Count(absl::StatusCode code, std::uint64_t n = 1);
  base::Gauge& in_flight() { return in_flight_; }

 private:
  static constexpr std::size_t kCodes = 17;
  base::Registry& registry_;
  const std::string method_;
  base::Gauge& in_flight_;
  std::array<base::Counter*, kCodes> calls_{};  // added when first met
};

class InFlight {
 public:
  explicit InFlight(MethodStats& stats) : stats_(stats) { stats_.in_flight().Add(1); }
  ~InFlight() { stats_.in_flight().Add(-1); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
  void Ended(const absl::Status& status) { stats_.Count(status.code()); }

 private:
  MethodStats& stats_;
};

}  // namespace postern::rpc

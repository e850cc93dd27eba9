#include "server/rpc/stats.h"

#include <utility>

#include "server/base/check.h"

namespace postern::rpc {
namespace {

// gRPC's spelling, in the order of the codes.
constexpr const char* kCodeNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

}  // namespace

MethodStats::MethodStats(base::Registry& registry, std::string method)
    : registry_(registry),
      method_(std::move(method)),
      in_flight_(registry.AddGauge("postern_rpc_in_flight", "Calls that have not ended yet.",
                                   {{"method", method_}})) {
  Count(absl::StatusCode::kOk, 0);
}

void MethodStats::Count(absl::StatusCode code, std::uint64_t n) {
  const auto index = static_cast<std::size_t>(code);
  POSTERN_CHECK(index < kCodes);
  if (calls_[index] == nullptr) {
    calls_[index] =
        &registry_.AddCounter("postern_rpc_calls_total", "Calls that have ended, by gRPC code.",
                              {{"method", method_}, {"code", kCodeNames[index]}});
  }
  calls_[index]->Add(n);
}

}  // namespace postern::rpc

// Admission: whether new mail is taken. Watermarks on disk, memory and queue; delivery goes on
// either way.
//
//   Admission admission(watermarks, [] { return reading; }, metrics.queued_rows, clock, registry);
//   absl::Status status = admission.Admit();   // for each submission
//
// A watermark that was reached is left again with a tenth to spare, so that admission does not
// flutter. Readings are taken when somebody asks, not more often than every 100 ms: an idle service
// does not wake up for them. Thread: any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/base/mutex.h"

namespace postern::delivery {

// A limit of 0 is none.
struct Watermarks {
  std::uint64_t min_free_bytes = 0;      // on the spool's file system
  std::uint64_t max_resident_bytes = 0;  // of the process
  std::uint64_t max_queued_rows = 0;
  // Of the control group's limit, in per cent.
  std::uint64_t group_memory_percent = 90;
};

struct AdmissionReading {
  bool spool_writes = true;
  std::uint64_t free_bytes = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t group_used_bytes = 0;
  std::uint64_t group_limit_bytes = 0;  // 0: no control group with a limit
  std::uint64_t queued_rows = 0;
};

// The first one that holds is told.
enum class AdmissionCause : std::uint8_t { kDisk = 0, kMemory = 1, kQueue = 2, kSpool = 3 };
inline constexpr std::size_t kAdmissionCauseCount = 4;
absl::string_view Name(AdmissionCause cause);  // "disk", "memory", "queue", "spool"

// By AdmissionCause: true while it keeps mail out.
using AdmissionState = std::array<bool, kAdmissionCauseCount>;

// What follows from a reading, given the state before it. Pure.
AdmissionState Judge(const AdmissionReading& reading, const Watermarks& marks,
                     const AdmissionState& before);

// When to try again after a refusal with this cause.
absl::Duration RetryDelay(AdmissionCause cause);

class Admission {
 public:
  // All but queued_rows, in microseconds; any thread, one at a time.
  using Read = std::function<AdmissionReading()>;
  static constexpr absl::Duration kReadInterval = absl::Milliseconds(100);

  // `queued_rows` is looked at for each submission, `read` called at the interval.
  Admission(Watermarks marks, Read read, const base::Gauge& queued_rows, const base::Clock& clock,
            base::Registry& registry);

  // For a submission: OK, or RESOURCE_EXHAUSTED "disk: ...", "memory: ..." or "queue: ..." with
  // when to try again (base/retry_after.h), counted. A spool that cannot write says so itself.
  absl::Status Admit();
  // For a probe: the same, and UNAVAILABLE "spool: ..." while the spool cannot write. Not counted.
  absl::Status Check();

 private:
  absl::Status Look(bool submission);
  void Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Explain(AdmissionCause cause) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Watermarks marks_;
  const Read read_;
  const base::Gauge& queued_rows_;
  const base::Clock& clock_;
  base::Gauge& open_gauge_;
  std::array<base::Gauge*, kAdmissionCauseCount> closed_gauges_;
  std::array<base::Counter*, kAdmissionCauseCount> refused_;
  base::Gauge& resident_gauge_;
  base::Gauge& group_used_gauge_;
  base::Gauge& group_limit_gauge_;

  std::atomic<std::int64_t> next_read_;  // steady, in ns
  std::atomic<bool> open_{true};         // nothing holds
  base::Mutex mu_;
  AdmissionReading reading_ ABSL_GUARDED_BY(mu_);
  AdmissionState state_ ABSL_GUARDED_BY(mu_){};
};

}  // namespace postern::delivery

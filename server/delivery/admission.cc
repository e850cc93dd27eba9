#include "server/delivery/admission.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/retry_after.h"

namespace postern::delivery {
namespace {

constexpr std::array<AdmissionCause, kAdmissionCauseCount> kCauses = {
    AdmissionCause::kDisk, AdmissionCause::kMemory, AdmissionCause::kQueue, AdmissionCause::kSpool};

std::size_t IndexOf(AdmissionCause cause) { return static_cast<std::size_t>(cause); }

// Over a mark that must not be passed; once over, until a tenth below.
bool Over(std::uint64_t value, std::uint64_t mark, bool before) {
  if (mark == 0) return false;
  return before ? value >= mark - mark / 10 : value >= mark;
}

std::uint64_t GroupMark(const AdmissionReading& reading, const Watermarks& marks) {
  return reading.group_limit_bytes / 100 * marks.group_memory_percent;
}

std::int64_t Nanos(absl::Time time) { return absl::ToUnixNanos(time); }

}  // namespace

absl::string_view Name(AdmissionCause cause) {
  switch (cause) {
    case AdmissionCause::kDisk:
      return "disk";
    case AdmissionCause::kMemory:
      return "memory";
    case AdmissionCause::kQueue:
      return "queue";
    case AdmissionCause::kSpool:
      return "spool";
  }
  return "unknown";
}

AdmissionState Judge(const AdmissionReading& reading, const Watermarks& marks,
                     const AdmissionState& before) {
  AdmissionState after{};
  const std::uint64_t spare =
      before[IndexOf(AdmissionCause::kDisk)] ? marks.min_free_bytes / 10 : 0;
  after[IndexOf(AdmissionCause::kDisk)] = reading.free_bytes < marks.min_free_bytes + spare;
  const bool memory = before[IndexOf(AdmissionCause::kMemory)];
  after[IndexOf(AdmissionCause::kMemory)] =
      Over(reading.resident_bytes, marks.max_resident_bytes, memory) ||
      Over(reading.group_used_bytes, GroupMark(reading, marks), memory);
  after[IndexOf(AdmissionCause::kQueue)] =
      Over(reading.queued_rows, marks.max_queued_rows, before[IndexOf(AdmissionCause::kQueue)]);
  after[IndexOf(AdmissionCause::kSpool)] = !reading.spool_writes;
  return after;
}

absl::Duration RetryDelay(AdmissionCause cause) {
  // A disk fills and empties slowly; a queue drains by itself.
  return cause == AdmissionCause::kDisk ? absl::Seconds(30) : absl::Seconds(5);
}

Admission::Admission(Watermarks marks, Read read, const base::Gauge& queued_rows,
                     const base::Clock& clock, base::Registry& r)
    : marks_(marks),
      read_(std::move(read)),
      queued_rows_(queued_rows),
      clock_(clock),
      open_gauge_(r.AddGauge("postern_admission_open", "1 while new mail is taken.")),
      resident_gauge_(r.AddGauge("postern_memory_resident_bytes", "Memory of the process.")),
      group_used_gauge_(
          r.AddGauge("postern_memory_group_used_bytes",
                     "Memory of the control group, without files' pages that can be dropped.")),
      group_limit_gauge_(r.AddGauge("postern_memory_group_limit_bytes",
                                    "Limit of the control group; 0 without one.")),
      next_read_(Nanos(absl::UnixEpoch())) {
  for (const AdmissionCause cause : kCauses) {
    const base::Labels labels = {{"cause", std::string(Name(cause))}};
    closed_gauges_[IndexOf(cause)] =
        &r.AddGauge("postern_admission_closed", "1 while this keeps new mail out.", labels);
    refused_[IndexOf(cause)] = &r.AddCounter("postern_admission_refused_total",
                                             "Submissions refused, by cause; spool: see "
                                             "postern_spool_stores_refused_total.",
                                             labels);
  }
  open_gauge_.Set(1);
  r.AddCollector([this] { Check().IgnoreError(); });
}

absl::Status Admission::Admit() { return Look(true); }
absl::Status Admission::Check() { return Look(false); }

absl::Status Admission::Look(bool submission) {
  const auto queued = static_cast<std::uint64_t>(queued_rows_.value());
  const bool full = marks_.max_queued_rows > 0 && queued >= marks_.max_queued_rows;
  const bool open = open_.load(std::memory_order_acquire);
  const bool fresh = Nanos(clock_.Steady()) < next_read_.load(std::memory_order_acquire);
  if (open && fresh && !full) return absl::OkStatus();

  base::MutexLock lock(mu_);
  Refresh();
  for (const AdmissionCause cause : kCauses) {
    if (!state_[IndexOf(cause)]) continue;
    // The spool's own answer says more, and whether it is for want of room.
    if (submission && cause == AdmissionCause::kSpool) continue;
    if (submission) refused_[IndexOf(cause)]->Add();
    return Explain(cause);
  }
  return absl::OkStatus();
}

void Admission::Refresh() {
  const absl::Time now = clock_.Steady();
  if (Nanos(now) >= next_read_.load(std::memory_order_relaxed)) {
    reading_ = read_();
    next_read_.store(Nanos(now + kReadInterval), std::memory_order_release);
    resident_gauge_.Set(static_cast<std::int64_t>(reading_.resident_bytes));
    group_used_gauge_.Set(static_cast<std::int64_t>(reading_.group_used_bytes));
    group_limit_gauge_.Set(static_cast<std::int64_t>(reading_.group_limit_bytes));
  }
  reading_.queued_rows = static_cast<std::uint64_t>(queued_rows_.value());
  const AdmissionState before = std::exchange(state_, Judge(reading_, marks_, state_));
  bool open = true;
  for (const AdmissionCause cause : kCauses) {
    const bool closed = state_[IndexOf(cause)];
    open = open && !closed;
    if (closed == before[IndexOf(cause)]) continue;
    closed_gauges_[IndexOf(cause)]->Set(closed ? 1 : 0);
    if (closed) {
      base::Log().warn("no new mail is taken: {}", Explain(cause).message());
    } else {
      base::Log().info("new mail is not kept out by {} any more", Name(cause));
    }
  }
  open_gauge_.Set(open ? 1 : 0);
  open_.store(open, std::memory_order_release);
}

absl::Status Admission::Explain(AdmissionCause cause) const {
  std::string why;
  switch (cause) {
    case AdmissionCause::kDisk:
      why = absl::StrCat(reading_.free_bytes, " bytes are free on the spool's file system, ",
                         marks_.min_free_bytes, " are kept (server.spool_reserve_bytes)");
      break;
    case AdmissionCause::kMemory:
      why =
          Over(reading_.group_used_bytes, GroupMark(reading_, marks_), true)
              ? absl::StrCat(reading_.group_used_bytes, " of the control group's ",
                             reading_.group_limit_bytes, " bytes are taken, ",
                             marks_.group_memory_percent, " % is the most")
              : absl::StrCat(reading_.resident_bytes, " bytes are taken, ",
                             marks_.max_resident_bytes, " are the most (server.max_memory_bytes)");
      break;
    case AdmissionCause::kQueue:
      why = absl::StrCat(reading_.queued_rows, " messages are queued, ", marks_.max_queued_rows,
                         " are the most (server.max_queued_messages)");
      break;
    case AdmissionCause::kSpool:
      return base::WithRetryAfter(absl::UnavailableError("spool: it cannot write"),
                                  RetryDelay(cause));
  }
  const absl::Duration delay = RetryDelay(cause);
  return base::WithRetryAfter(
      absl::ResourceExhaustedError(
          absl::StrCat(Name(cause), ": ", why, "; try again in ", absl::FormatDuration(delay))),
      delay);
}

}  // namespace postern::delivery

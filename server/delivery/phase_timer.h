// PhaseTimer: how long the phases of an SMTP session take.
//
// A phase lasts while the connection waits for the peer in it: from the command on its way to the
// reply. Replies of a pipelined group that come together count for the first of them. Observed in
// postern_smtp_phase_seconds when the phase ends, in whichever way. Thread: the session's.
#pragma once

#include <array>

#include "absl/time/time.h"
#include "server/delivery/metrics.h"

namespace postern::delivery {

class PhaseTimer {
 public:
  explicit PhaseTimer(DeliveryMetrics& metrics) : metrics_(metrics) {}

  // The time from now on belongs to `stage`; another phase that was under way is over.
  void Run(mail::SmtpStage stage, absl::Time now);
  // The phase goes on later, if it does.
  void Pause(absl::Time now);
  // Nothing is under way any more.
  void Close(absl::Time now);
  // Forgets what Taken() tells.
  void Reset() { taken_.fill(absl::ZeroDuration()); }
  // What the stage took since Reset().
  absl::Duration Taken(mail::SmtpStage stage) const {
    return taken_[static_cast<std::size_t>(stage)];
  }

 private:
  DeliveryMetrics& metrics_;
  mail::SmtpStage stage_ = mail::SmtpStage::kNone;
  bool running_ = false;
  absl::Time since_;       // while running_
  absl::Duration so_far_;  // of stage_, up to its last pause
  std::array<absl::Duration, mail::kSmtpStageCount> taken_{};
};

}  // namespace postern::delivery

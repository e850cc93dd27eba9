#include "server/delivery/phase_timer.h"

namespace postern::delivery {

void PhaseTimer::Run(mail::SmtpStage stage, absl::Time now) {
  if (stage != stage_) {
    Close(now);
    stage_ = stage;
  }
  if (!running_) since_ = now;
  running_ = true;
}

void PhaseTimer::Pause(absl::Time now) {
  if (running_) so_far_ += now - since_;
  running_ = false;
}

void PhaseTimer::Close(absl::Time now) {
  Pause(now);
  if (stage_ != mail::SmtpStage::kNone) {
    metrics_.Phase(stage_).Observe(so_far_);
    taken_[static_cast<std::size_t>(stage_)] += so_far_;
  }
  stage_ = mail::SmtpStage::kNone;
  so_far_ = absl::ZeroDuration();
}

}  // namespace postern::delivery

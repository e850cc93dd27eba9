// SpoolIntake: a submission on its way in: checked, split into rows, stored, handed to its queues.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "server/delivery/admission.h"
#include "server/delivery/context.h"
#include "server/delivery/control.h"
#include "server/queue/pair_queue.h"

namespace postern::delivery {

struct IntakeLimits {
  std::uint64_t max_message_bytes = std::uint64_t{50} << 20;
  int max_recipients = 10'000;
};

class SpoolIntake final : public Intake {
 public:
  // `enqueue` takes a stored row to its scheduler; called on the spool's writer thread.
  SpoolIntake(Context& context, Admission& admission, IntakeLimits limits,
              std::function<void(queue::RowPtr)> enqueue)
      : context_(context),
        admission_(admission),
        max_message_bytes_(limits.max_message_bytes),
        max_recipients_(limits.max_recipients),
        enqueue_(std::move(enqueue)) {}

  void Submit(mail::Submission submission, Done done) override;
  void SetMaxMessageBytes(std::uint64_t bytes) { max_message_bytes_ = bytes; }

 private:
  absl::Status Check(mail::Submission& submission) const;
  absl::StatusOr<std::vector<mail::Row>> MakeRows(const mail::Submission& submission) const;
  // The rows are stored: hands them on and makes the receipt.
  Receipt Accept(std::vector<mail::Row> rows);

  Context& context_;
  Admission& admission_;
  std::atomic<std::uint64_t> max_message_bytes_;
  const int max_recipients_;
  const std::function<void(queue::RowPtr)> enqueue_;
};

// Turns the rows of one stored message into queued rows.
std::vector<queue::RowPtr> MakeQueued(std::vector<mail::Row> rows);

}  // namespace postern::delivery

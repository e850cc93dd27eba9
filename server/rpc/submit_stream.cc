#include "server/rpc/submit_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/retry_after.h"
#include "server/rpc/convert_delivery.h"

namespace postern::rpc {
namespace {

// What a recipient costs beside its text.
constexpr std::int64_t kRecipientOverheadBytes = 64;

}  // namespace

std::int64_t SubmissionBytes(const v1::SubmitRequest& request) {
  std::size_t bytes = request.content().size() + request.sender().size();
  for (const std::string& recipient : request.recipients()) {
    bytes += recipient.size() + kRecipientOverheadBytes;
  }
  return static_cast<std::int64_t>(bytes);
}

void SubmitTo(delivery::Intake& intake, MethodGuard& guard, const Call& call,
              const ServedCheck* served, const std::shared_ptr<ByteBudget>& budget,
              v1::SubmitRequest& request, delivery::Intake::Done done) {
  if (served != nullptr) {
    if (absl::Status status = served->Check(request); !status.ok()) return done(std::move(status));
  }
  const std::int64_t bytes = SubmissionBytes(request);
  absl::StatusOr<mail::Submission> submission = TakeSubmission(request);
  if (!submission.ok()) return done(submission.status());
  const absl::Status allowed = call.identity().rights->AllowSubmission(*submission);
  if (!allowed.ok()) return done(guard.Deny(call, allowed));
  submission->submitter = call.identity().submitter();
  if (!budget->Take(bytes)) {
    const absl::Status full = absl::ResourceExhaustedError(
        absl::StrCat("too many bytes of submissions in flight, the limit is ", budget->most()));
    return done(base::WithRetryAfter(full, absl::Seconds(1)));
  }
  intake.Submit(*std::move(submission),
                [budget, bytes, done = std::move(done)](absl::StatusOr<delivery::Receipt> result) {
                  budget->Give(bytes);
                  done(std::move(result));
                });
}

SubmitWindow::SubmitWindow(Queue& queue, const Limits& limits, std::shared_ptr<ByteBudget> budget)
    : Wakeup(queue),
      max_messages_(limits.stream_messages),
      max_bytes_(limits.stream_bytes),
      budget_(std::move(budget)) {}

bool SubmitWindow::Full() const {
  base::MutexLock lock(mu_);
  return slots_.size() >= max_messages_ || bytes_ >= max_bytes_;
}

bool SubmitWindow::Empty() const {
  base::MutexLock lock(mu_);
  return slots_.empty();
}

std::uint64_t SubmitWindow::Add(std::int64_t bytes) {
  base::MutexLock lock(mu_);
  slots_.push_back({bytes, std::nullopt});
  bytes_ += bytes;
  return first_ + slots_.size() - 1;
}

int SubmitWindow::TakeReady(v1::SubmitStreamResponse* out) {
  base::MutexLock lock(mu_);
  int taken = 0;
  for (; !slots_.empty() && slots_.front().result.has_value(); ++taken) {
    const absl::StatusOr<delivery::Receipt>& result = *slots_.front().result;
    v1::SubmitResult* answer = out->add_results();
    if (result.ok()) {
      ToProto(*result, answer->mutable_receipt());
    } else {
      ToProto(result.status(), answer->mutable_error());
    }
    slots_.pop_front();
    ++first_;
  }
  return taken;
}

void SubmitWindow::Complete(std::uint64_t number, absl::StatusOr<delivery::Receipt> result) {
  bool wake = false;
  {
    base::MutexLock lock(mu_);
    Slot& slot = slots_[number - first_];
    // Content counts until it is stored: whoever waited for room in bytes can go on.
    wake = number == first_ || bytes_ >= max_bytes_;
    bytes_ -= slot.bytes;
    slot.result.emplace(std::move(result));
  }
  if (wake) Notify();
}

SubmitStream::SubmitStream(CallType& call, ServiceContext& context, Stopper& stopper,
                           MethodGuard& guard, std::shared_ptr<ByteBudget> budget,
                           const ServedCheck& served)
    : call_(call),
      context_(context),
      stopper_(stopper),
      guard_(guard),
      served_(served),
      reader_(context.deps.metrics, "Delivery.SubmitStream", {kMaxFrameBytes, kMaxFields}),
      window_(std::make_shared<SubmitWindow>(call.queue(), context.limits, std::move(budget))),
      listener_(stopper, window_->signal()),
      space_(call.queue()),
      reader_ended_(call.queue()) {}

Task<absl::Status> SubmitStream::Run() {
  call_.SignalWhenDone(&window_->signal());
  ReadSubmissions();
  absl::Status status;
  v1::SubmitStreamResponse response;
  for (;;) {
    response.Clear();
    if (window_->TakeReady(&response) > 0) {
      space_.Set();
      if (co_await call_.Write(response)) continue;
      status = absl::CancelledError("the client is gone");
      break;
    }
    if (call_.done()) {
      status = absl::CancelledError("the client is gone");
      break;
    }
    if (failure_.ok()) failure_ = guard_.Renew(call_);
    if (window_->Empty() && !failure_.ok()) {
      status = failure_;
      break;
    }
    // Only a client that has half-closed knows that all it has sent was answered.
    if (window_->Empty() && half_closed_) break;
    if (window_->Empty() && stopper_.stopping()) {
      status = absl::UnavailableError("the service stops");
      break;
    }
    space_.Set();
    co_await window_->signal().Wait();
  }
  writing_ = false;
  space_.Set();
  call_.SignalWhenDone(nullptr);
  co_return status;
}

Detached SubmitStream::ReadSubmissions() {
  grpc::ByteBuffer bytes;
  for (;;) {
    const bool read = co_await call_.Read(&bytes);
    if (!read) {
      half_closed_ = true;
      break;
    }
    v1::SubmitStreamRequest frame;  // of this turn: a large one must not be kept for small ones
    if (failure_.ok()) failure_ = Take(bytes, &frame);
    for (v1::SubmitRequest& request : *frame.mutable_submissions()) {
      while (writing_ && window_->Full()) co_await space_.Wait();
      if (!writing_) break;
      if (failure_.ok()) failure_ = guard_.Renew(call_);
      if (!failure_.ok()) break;
      Submit(request);
    }
    if (!writing_ || !failure_.ok() || stopper_.stopping()) break;
  }
  if (writing_) window_->signal().Set();
  reader_ended_.Set();
}

absl::Status SubmitStream::Take(grpc::ByteBuffer& bytes, v1::SubmitStreamRequest* frame) {
  if (absl::Status gone = guard_.Renew(call_); !gone.ok()) return gone;
  if (absl::Status status = reader_.Parse(bytes, frame); !status.ok()) return status;
  for (const v1::SubmitRequest& request : frame->submissions()) reader_.CountUnknown(request);
  return absl::OkStatus();
}

void SubmitStream::Submit(v1::SubmitRequest& request) {
  const std::uint64_t number = window_->Add(SubmissionBytes(request));
  SubmitTo(context_.deps.intake, guard_, call_, &served_, window_->budget(), request,
           [window = window_, number](absl::StatusOr<delivery::Receipt> result) {
             window->Complete(number, std::move(result));
           });
}

}  // namespace postern::rpc

#include "server/rpc/decide_stream.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/rpc/convert_hooks.h"

namespace postern::rpc {
namespace {

absl::Status Gone() { return absl::CancelledError("the client is gone"); }

std::uint64_t UnknownIn(const google::protobuf::Message& message) {
  const auto& fields = message.GetReflection()->GetUnknownFields(message);
  return static_cast<std::uint64_t>(fields.field_count());
}

// Of a frame, of what is in it and of each verdict: deeper ones are not looked for. A frame that is
// unknown itself has none.
std::uint64_t UnknownFields(const v1::DecideRequest& frame) {
  switch (frame.frame_case()) {
    case v1::DecideRequest::kAttach:
      return UnknownIn(frame) + UnknownIn(frame.attach());
    case v1::DecideRequest::kVerdicts: {
      std::uint64_t count = UnknownIn(frame) + UnknownIn(frame.verdicts());
      for (const v1::Verdict& verdict : frame.verdicts().verdicts()) count += UnknownIn(verdict);
      return count;
    }
    case v1::DecideRequest::kAcknowledge:
      return UnknownIn(frame) + UnknownIn(frame.acknowledge());
    case v1::DecideRequest::kDetach:
      return UnknownIn(frame) + UnknownIn(frame.detach());
    case v1::DecideRequest::FRAME_NOT_SET:
      break;
  }
  return 0;
}

}  // namespace

DecideStream::DecideStream(DecideCall& call, ServiceContext& context, Stopper& stopper,
                           MethodGuard& guard, const Checks& checks, const Unknown& unknown)
    : call_(call),
      context_(context),
      stopper_(stopper),
      guard_(guard),
      checks_(checks),
      unknown_(unknown),
      wakeup_(std::make_shared<SubscriberWakeup>(call.queue())),
      listener_(stopper, wakeup_->signal(), [this] { OnRightsReplaced(); }),
      pump_(call, StreamKind::kDecide, *wakeup_, guard, context.limits,
            context.deps.bridge.epoch()),
      writer_ended_(call.queue()),
      reader_ended_(call.queue()) {}

Task<absl::Status> DecideStream::Run() {
  call_.SignalWhenDone(&wakeup_->signal());
  ReadFrames();
  absl::Status status = co_await AwaitAttach();
  if (status.ok()) status = co_await Converse();
  writing_ = false;
  writer_ended_.Set();
  call_.SignalWhenDone(nullptr);
  // Now, not when the client has read its status: its open questions take the default.
  session_.reset();
  co_return status;
}

Task<absl::Status> DecideStream::AwaitAttach() {
  const absl::Time deadline = Queue::Now() + context_.limits.attach;
  while (session_ == nullptr) {
    if (!failure_.ok()) co_return failure_;
    if (call_.done()) co_return Gone();
    if (stopper_.stopping()) co_return absl::UnavailableError("the service stops");
    if (detached_) co_return absl::InvalidArgumentError("attach: the stream ended without it");
    const bool woken = co_await wakeup_->signal().WaitUntil(deadline);
    if (!woken) {
      co_return absl::InvalidArgumentError(absl::StrCat(
          "attach: not received within ", absl::FormatDuration(context_.limits.attach)));
    }
  }
  const grpc::ByteBuffer attached = EncodeAttached(session_->attached());
  const bool written = co_await pump_.Write(attached);
  if (!written) co_return Gone();
  co_return absl::OkStatus();
}

Task<absl::Status> DecideStream::Converse() {
  for (;;) {
    if (call_.done()) co_return Gone();
    if (failure_.ok()) failure_ = CheckRights();
    if (!failure_.ok()) co_return failure_;
    if (detached_ || stopper_.stopping()) {
      const absl::Status end =
          detached_ ? absl::OkStatus() : absl::UnavailableError("the service stops");
      bool written = co_await pump_.Flush(*session_);  // Draining among the rest
      session_->Detach("the service stops");
      if (written) written = co_await pump_.Flush(*session_);  // what came of open questions
      if (!written) co_return Gone();
      co_return end;
    }
    const bool going_on = co_await pump_.Next(*session_);
    if (!going_on) co_return Gone();
  }
}

Detached DecideStream::ReadFrames() {
  grpc::ByteBuffer buffer;
  while (failure_.ok()) {
    const bool read = co_await call_.Read(&buffer);
    if (!read) break;
    if (!writing_ || !failure_.ok()) continue;  // nothing that comes now is answered
    failure_ = CheckRights();
    if (failure_.ok()) failure_ = OnBuffer(buffer);
    buffer.Clear();
    if (!failure_.ok() || session_ != nullptr) wakeup_->signal().Set();
  }
  if (failure_.ok() && !call_.done() && writing_) {
    detached_ = true;
    if (session_ != nullptr) session_->Detach("half-closed");
  }
  if (writing_) wakeup_->signal().Set();
  if (!failure_.ok() && writing_) {
    // The writer may be stuck in a write that the client does not read.
    const bool ended =
        co_await writer_ended_.WaitUntil(Queue::Now() + context_.limits.failure_grace);
    if (!ended) call_.context.TryCancel();
  }
  reader_ended_.Set();
}

absl::Status DecideStream::CheckRights() {
  const absl::Status status = guard_.Renew(call_, [this](const Identity& identity) {
    if (session_ == nullptr) return absl::OkStatus();
    const bridge::Attached& attached = session_->attached();
    bridge::Filter left = attached.filter;
    absl::Status allowed = context_.access.ClampDecide(identity, provider_, left);
    return allowed.ok() ? StillWhole(identity, attached.filter, left) : allowed;
  });
  if (!status.ok() && session_ != nullptr) session_->Detach("its rights were withdrawn");
  return status;
}

// At once: no more questions, however long the writer is stuck in a write.
void DecideStream::OnRightsReplaced() {
  if (writing_ && failure_.ok()) failure_ = CheckRights();
}

absl::Status DecideStream::OnBuffer(grpc::ByteBuffer& buffer) {
  const std::size_t limit = context_.limits.decide_frame_bytes;
  if (buffer.Length() > limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a frame of ", buffer.Length(), " bytes, the limit is ", limit));
  }
  v1::DecideRequest frame;
  if (!Parse(buffer, &frame)) return absl::InternalError("a frame that does not parse");
  if (const std::uint64_t fields = UnknownFields(frame); fields > 0) unknown_.fields.Add(fields);
  return OnFrame(frame);
}

absl::Status DecideStream::OnFrame(v1::DecideRequest& frame) {
  if (frame.has_attach()) return OnAttach(frame);
  if (session_ == nullptr) return absl::InvalidArgumentError("attach: must be the first frame");
  if (detached_) return absl::OkStatus();
  switch (frame.frame_case()) {
    case v1::DecideRequest::kVerdicts:
      return OnVerdicts(*frame.mutable_verdicts());
    case v1::DecideRequest::kAcknowledge:
      return session_->Acknowledge(frame.acknowledge().position());
    case v1::DecideRequest::kDetach: {
      const std::string& reason = frame.detach().reason();
      session_->Detach(absl::string_view(reason.data(), reason.size()));
      detached_ = true;
      return absl::OkStatus();
    }
    case v1::DecideRequest::kAttach:
    case v1::DecideRequest::FRAME_NOT_SET:
      break;
  }
  unknown_.frames.Add();
  return absl::OkStatus();
}

absl::Status DecideStream::OnAttach(const v1::DecideRequest& frame) {
  if (session_ != nullptr || detached_) return absl::InvalidArgumentError("attach: came twice");
  if (absl::Status status = checks_.attach.Check(frame); !status.ok()) return status;
  const Identity& identity = call_.identity();
  absl::StatusOr<bridge::AttachRequest> request =
      ToAttach(frame.attach(), absl::StrCat(identity.name, " at ", call_.context.peer()));
  if (!request.ok()) return request.status();
  const absl::Status allowed =
      context_.access.ClampDecide(identity, request->provider, request->filter);
  if (!allowed.ok()) return guard_.Deny(call_, allowed);
  absl::StatusOr<std::shared_ptr<void>> place = TakeStreamPlace(context_.access, identity);
  if (!place.ok()) return place.status();
  place_ = *std::move(place);
  provider_ = request->provider;
  absl::StatusOr<std::unique_ptr<bridge::DecideSession>> session =
      context_.deps.bridge.Attach(*std::move(request), wakeup_);
  if (!session.ok()) return session.status();
  session_ = *std::move(session);
  return absl::OkStatus();
}

absl::Status DecideStream::OnVerdicts(v1::Verdicts& verdicts) {
  std::vector<bridge::Verdict> values;
  values.reserve(static_cast<std::size_t>(verdicts.verdicts_size()));
  for (v1::Verdict& verdict : *verdicts.mutable_verdicts()) {
    const absl::Status served = checks_.verdict.Check(verdict);
    values.push_back(ToVerdict(verdict));
    if (!served.ok()) values.back().denied = std::string(served.message());
    values.back().over_limit = !call_.identity().TakeVerdict();
  }
  const absl::StatusOr<std::vector<bridge::VerdictResult>> denied =
      session_->Verdicts(std::move(values));
  if (!denied.ok()) return denied.status();
  for (const bridge::VerdictResult& result : *denied) {
    DenyVerdict(guard_, call_, provider_, result);
  }
  return absl::OkStatus();
}

}  // namespace postern::rpc

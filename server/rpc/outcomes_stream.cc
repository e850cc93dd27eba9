#include "server/rpc/outcomes_stream.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/convert_delivery.h"
#include "server/rpc/convert_hooks.h"

namespace postern::rpc {
namespace {

constexpr std::size_t kMaxConsumerBytes = 64;
// So many times the streams that may have started may be about to.
constexpr std::size_t kWaitingFactor = 4;
// Of one piece, as the spool counts.
constexpr std::size_t kReadBytes = std::size_t{256} << 10;
// While the spool cannot be read.
constexpr absl::Duration kReadRetry = absl::Milliseconds(200);
// How often a consumer that acknowledges nothing new is noted as seen.
constexpr absl::Duration kSeenInterval = absl::Hours(1);
// Of an outcome on the wire, beside its texts.
constexpr std::size_t kOutcomeBytes = 100;

// Each identity has names of its own. A name holds no NUL.
std::string ConsumerOf(const Identity& identity, const std::string& name) {
  if (name.empty() || identity.submitter().empty()) return name;
  return absl::StrCat(identity.submitter(), absl::string_view("\0", 1), name);
}

absl::Status Gone() { return absl::CancelledError("the client is gone"); }

}  // namespace

OutcomesStream::OutcomesStream(CallType& call, ServiceContext& context, OutcomesHub& hub,
                               Stopper& stopper, MethodGuard& guard)
    : call_(call),
      context_(context),
      hub_(hub),
      stopper_(stopper),
      guard_(guard),
      source_(context.deps.outcomes),
      wakeup_(std::make_shared<OutcomesWakeup>(call.queue())),
      listener_(stopper, wakeup_->signal()),
      request_reader_(context.deps.metrics, "Delivery.Outcomes"),
      write_ended_(call.queue()),
      all_ended_(call.queue()),
      last_write_(Queue::Now()) {
  ++hub_.waiting;
}

OutcomesStream::~OutcomesStream() { --(started_ ? hub_.started : hub_.waiting); }

Task<absl::Status> OutcomesStream::Run() {
  call_.SignalWhenDone(&wakeup_->signal());
  failure_ = TakePlace();
  ReadFrames();
  absl::Status status = co_await AwaitStart();
  if (status.ok()) status = co_await Send();
  sending_ = false;
  const auto mine = hub_.consumers.find(consumer_);
  if (mine != hub_.consumers.end() && mine->second == this) hub_.consumers.erase(mine);
  call_.SignalWhenDone(nullptr);
  co_return status;
}

absl::Status OutcomesStream::TakePlace() {
  const std::size_t most = kWaitingFactor * context_.limits.outcome_streams;
  if (hub_.waiting > most) {
    return absl::ResourceExhaustedError(
        absl::StrCat("too many streams of outcomes without Start, the limit is ", most));
  }
  // Now, not with Start: one identity must not fill the waiting room for all.
  absl::StatusOr<std::shared_ptr<void>> place = TakeStreamPlace(context_.access, call_.identity());
  if (!place.ok()) return place.status();
  place_ = *std::move(place);
  return absl::OkStatus();
}

bool OutcomesStream::CheckRights() {
  if (failure_.ok()) failure_ = guard_.Renew(call_);
  return failure_.ok();
}

bool OutcomesStream::Wanted(const spool::OutcomeRecord& record) const {
  return call_.identity().MaySee(record.row.submitter) &&
         matcher_.Matches(record.row.pair->domain, record.row.pair->binding);
}

std::optional<absl::Status> OutcomesStream::End() {
  if (call_.done()) return Gone();
  if (!CheckRights()) return failure_;
  if (displaced_) return absl::AbortedError("consumer: another stream has taken it over");
  if (stopper_.stopping()) return absl::UnavailableError("the service stops");
  if (half_closed_ && !started_) {
    return absl::InvalidArgumentError("start: the stream ended without it");
  }
  if (half_closed_) return absl::OkStatus();
  return std::nullopt;
}

Task<absl::Status> OutcomesStream::AwaitStart() {
  const absl::Time deadline = Queue::Now() + context_.limits.attach;
  for (;;) {
    const std::optional<absl::Status> end = End();
    if (end.has_value() && !(started_ && end->ok())) co_return *end;
    if (started_) co_return absl::OkStatus();
    const bool woken = co_await wakeup_->signal().WaitUntil(deadline);
    if (!woken) {
      co_return absl::InvalidArgumentError(absl::StrCat(
          "start: not received within ", absl::FormatDuration(context_.limits.attach)));
    }
  }
}

Task<absl::Status> OutcomesStream::Send() {
  source_.AddOutcomeListener(wakeup_);
  last_write_ = Queue::Now();
  for (;;) {
    if (std::optional<absl::Status> end = End(); end.has_value()) co_return *std::move(end);
    // Due in a long replay too of which nothing is wanted, and while the disk cannot be read.
    if (Queue::Now() >= last_write_ + context_.limits.heartbeat) {
      const bool sent = co_await SendHeartbeat();
      if (!sent) co_return Gone();
    }
    wakeup_->Arm();  // before looking, so that nothing is missed
    const spool::OutcomeSource::Range range = source_.OutcomeRange();
    if (other_spool_ || position_ + 1 < range.oldest) {
      const bool sent = co_await SkipTo(range.oldest);
      if (!sent) co_return Gone();
    } else if (position_ < range.head) {
      const absl::Status sent = co_await SendSome(range.head);
      if (!sent.ok()) co_return sent;
    } else {
      co_await wakeup_->signal().WaitUntil(last_write_ + context_.limits.heartbeat);
    }
  }
}

Task<absl::Status> OutcomesStream::SendSome(std::uint64_t head) {
  using Records = std::vector<spool::OutcomeRecord>;
  std::function<absl::StatusOr<Records>()> read = [this, after = position_] {
    return source_.ReadOutcomes(after, context_.limits.outcome_frame_outcomes, kReadBytes);
  };
  const absl::StatusOr<Records> records =
      co_await RunOn<Records>(hub_.reader, call_.queue(), std::move(read));
  if (!records.ok()) {
    // The spool recovers by itself, and outcomes wait.
    co_await wakeup_->signal().WaitUntil(Queue::Now() + kReadRetry);
    co_return absl::OkStatus();
  }
  for (const spool::OutcomeRecord& record : *records) {
    if (!CheckRights()) co_return failure_;
    // Dropped since the range was looked at, or not readable.
    if (record.sequence > position_ + 1) {
      const bool told = co_await SkipTo(record.sequence);
      if (!told) co_return Gone();
    }
    const bool sent = co_await SendRecord(record);
    if (!sent) co_return Gone();
    if (!failure_.ok()) co_return failure_;
  }
  if (records->empty()) {
    const bool told = co_await SkipTo(head + 1);
    if (!told) co_return Gone();
  }
  const bool flushed = co_await FlushBatch();
  if (!flushed) co_return Gone();
  co_return absl::OkStatus();
}

Task<bool> OutcomesStream::SendRecord(const spool::OutcomeRecord& record) {
  bool wanted = Wanted(record);
  for (std::size_t i = 0; i < record.news.size(); ++i) {
    const std::uint64_t sequence = record.sequence + i;
    if (sequence <= position_) continue;  // the batch before ended inside this record
    position_ = sequence;
    const mail::Recipient& recipient = record.row.recipients[record.news[i]];
    if (!wanted || (final_only_ && !mail::IsFinal(recipient.disposition))) continue;
    ToProto(record, i, context_.deps.bindings, response_.mutable_outcomes()->add_outcomes());
    response_bytes_ += kOutcomeBytes + recipient.address.size();
    if (recipient.last_reply != nullptr) response_bytes_ += recipient.last_reply->text.size();
    const auto count = static_cast<std::size_t>(response_.outcomes().outcomes_size());
    if (count < context_.limits.outcome_frame_outcomes &&
        response_bytes_ < context_.limits.outcome_frame_bytes) {
      continue;
    }
    const bool flushed = co_await FlushBatch();
    if (!flushed) co_return false;
    if (!CheckRights()) co_return true;
    wanted = Wanted(record);
  }
  co_return true;
}

Task<bool> OutcomesStream::FlushBatch() {
  if (response_.outcomes().outcomes_size() == 0) co_return true;
  response_.mutable_outcomes()->set_cursor(Cursor());
  co_return co_await Write();
}

Task<bool> OutcomesStream::SkipTo(std::uint64_t next) {
  const bool flushed = co_await FlushBatch();  // what comes before the hole
  if (!flushed) co_return false;
  const bool dropped = position_ + 1 < source_.OutcomeRange().oldest;
  v1::OutcomesGap* gap = response_.mutable_gap();
  if (std::exchange(other_spool_, false)) {
    gap->set_cause(v1::OUTCOMES_GAP_CAUSE_OTHER_SPOOL);
  } else {
    gap->set_cause(dropped ? v1::OUTCOMES_GAP_CAUSE_RETENTION : v1::OUTCOMES_GAP_CAUSE_DAMAGED);
    gap->set_lost(next - 1 - position_);
  }
  position_ = next - 1;
  gap->set_cursor(Cursor());
  co_return co_await Write();
}

Task<bool> OutcomesStream::SendHeartbeat() {
  response_.mutable_heartbeat()->set_head_cursor(Cursor());
  co_return co_await Write();
}

Task<bool> OutcomesStream::Write() {
  bool written = true;
  if (failure_.ok() && !displaced_) {  // else it ends, and nothing more is said
    in_write_ = true;
    written = co_await call_.Write(response_);
    in_write_ = false;
    if (cutting_) write_ended_.Set();
  }
  last_write_ = Queue::Now();
  response_.Clear();
  response_bytes_ = 0;
  co_return written;
}

std::string OutcomesStream::Cursor() const { return ToText({log_, position_}); }

Detached OutcomesStream::ReadFrames() {
  grpc::ByteBuffer bytes;
  for (;;) {
    const bool read = co_await call_.Read(&bytes);
    if (!read) break;
    if (!sending_ || !failure_.ok() || displaced_) continue;  // nothing that comes now counts
    if (CheckRights()) failure_ = OnBytes(bytes);
    if (!failure_.ok() || !started_) {
      wakeup_->signal().Set();
      CutWrite();
    }
  }
  half_closed_ = true;
  if (sending_) wakeup_->signal().Set();
  if (--running_ == 0) all_ended_.Set();
}

Detached OutcomesStream::CutWrite() {
  if (!in_write_ || std::exchange(cutting_, true)) co_return;
  ++running_;
  const bool written =
      co_await write_ended_.WaitUntil(Queue::Now() + context_.limits.failure_grace);
  if (!written) call_.context.TryCancel();
  cutting_ = false;
  if (--running_ == 0) all_ended_.Set();
}

absl::Status OutcomesStream::OnBytes(grpc::ByteBuffer& bytes) {
  v1::OutcomesRequest frame;
  if (absl::Status status = request_reader_.Parse(bytes, &frame); !status.ok()) return status;
  return OnFrame(frame);
}

absl::Status OutcomesStream::OnFrame(const v1::OutcomesRequest& frame) {
  switch (frame.frame_case()) {
    case v1::OutcomesRequest::kStart:
      if (started_) return absl::InvalidArgumentError("start: came twice");
      return OnStart(frame.start());
    case v1::OutcomesRequest::kAcknowledge:
      if (!started_) return absl::InvalidArgumentError("start: must be the first frame");
      return OnAcknowledge(frame.acknowledge());
    case v1::OutcomesRequest::FRAME_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

absl::Status OutcomesStream::OnStart(const v1::OutcomesStart& start) {
  if (start.consumer().size() > kMaxConsumerBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("start.consumer: more than ", kMaxConsumerBytes, " bytes"));
  }
  if (start.consumer().find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("start.consumer: has a NUL");
  }
  absl::StatusOr<bridge::Matcher> matcher = bridge::Matcher::Create(ToFilter(start.filter()));
  if (!matcher.ok()) {
    return absl::Status(matcher.status().code(),
                        absl::StrCat("start.", matcher.status().message()));
  }
  if (hub_.started >= context_.limits.outcome_streams) {
    return absl::ResourceExhaustedError(absl::StrCat("too many streams of outcomes, the limit is ",
                                                     context_.limits.outcome_streams));
  }
  matcher_ = *std::move(matcher);
  final_only_ = start.final_only();
  consumer_ = ConsumerOf(call_.identity(), start.consumer());
  if (absl::Status status = SetOut(start); !status.ok()) return status;
  Enter();
  started_ = true;
  --hub_.waiting;
  ++hub_.started;
  wakeup_->signal().Set();
  return absl::OkStatus();
}

absl::Status OutcomesStream::SetOut(const v1::OutcomesStart& start) {
  const spool::OutcomeSource::Range range = source_.OutcomeRange();
  log_ = range.log;
  std::optional<std::uint64_t> kept;
  if (!consumer_.empty()) kept = source_.ConsumerCursor(consumer_);
  position_ = kept.value_or(range.oldest - 1);
  if (!start.after_cursor().empty()) {
    const absl::StatusOr<OutcomeCursor> after =
        CursorFromText(start.after_cursor(), "start.after_cursor");
    if (!after.ok()) return after.status();
    // One that is ahead of all there is was given by a state of this spool that is gone.
    other_spool_ = after->log != range.log || after->sequence > range.head;
    position_ = other_spool_ ? 0 : after->sequence;
  }
  if (consumer_.empty()) return absl::OkStatus();
  // Known from now on: what is behind is kept for it.
  return Acknowledged(kept.value_or(position_));
}

void OutcomesStream::Enter() {
  if (consumer_.empty()) return;
  OutcomesStream*& holder = hub_.consumers[consumer_];
  if (holder != nullptr) holder->Displace();
  holder = this;
}

void OutcomesStream::Displace() {
  displaced_ = true;
  wakeup_->signal().Set();
  CutWrite();
}

absl::Status OutcomesStream::OnAcknowledge(const v1::OutcomesAcknowledge& acknowledge) {
  const absl::StatusOr<OutcomeCursor> upto =
      CursorFromText(acknowledge.cursor(), "acknowledge.cursor");
  if (!upto.ok()) return upto.status();
  if (consumer_.empty()) {
    return absl::InvalidArgumentError("acknowledge: the stream has no consumer");
  }
  if (upto->log != log_ || upto->sequence > position_) {
    return absl::InvalidArgumentError("acknowledge.cursor: was not sent on this stream");
  }
  // A client may repeat itself as often as it likes; now and then that shows that it is there.
  const bool news = upto->sequence > acknowledged_;
  if (!news && Queue::Now() - acknowledged_at_ < kSeenInterval) return absl::OkStatus();
  return Acknowledged(upto->sequence);
}

absl::Status OutcomesStream::Acknowledged(std::uint64_t upto) {
  acknowledged_ = std::max(acknowledged_, upto);
  acknowledged_at_ = Queue::Now();
  return source_.SetConsumerCursor(consumer_, acknowledged_);
}

}  // namespace postern::rpc

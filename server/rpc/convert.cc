#include "server/rpc/convert.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace postern::rpc {
namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;

}  // namespace

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp out;
  const std::int64_t seconds = absl::ToUnixSeconds(time);
  out.set_seconds(seconds);
  out.set_nanos(
      static_cast<std::int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return out;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration out;
  out.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(duration)));
  return out;
}

// The numbers of the spool and of the contract are the same, but for RequeueReason.
static_assert(static_cast<int>(mail::Disposition::kCancelled) == v1::DISPOSITION_CANCELLED);
static_assert(static_cast<int>(mail::CloseCause::kLimitChanged) == v1::CLOSE_CAUSE_LIMIT_CHANGED);
static_assert(static_cast<int>(mail::CloseCause::kReply421) == v1::CLOSE_CAUSE_REPLY_421);
static_assert(static_cast<int>(mail::SmtpStage::kQuit) == v1::SMTP_STAGE_QUIT);
static_assert(static_cast<int>(mail::SmtpStage::kBody) == v1::SMTP_STAGE_BODY);
static_assert(-static_cast<int>(mail::ConnError::kConnectTimeout) ==
              v1::CONN_ERROR_CONNECT_TIMEOUT);

v1::Disposition ToProto(mail::Disposition disposition) {
  return static_cast<v1::Disposition>(disposition);
}

v1::ConnError ToProto(mail::ConnError error) {
  return static_cast<v1::ConnError>(-static_cast<int>(error));
}

v1::CloseCause ToProto(mail::CloseCause cause) { return static_cast<v1::CloseCause>(cause); }

v1::SmtpStage ToProto(mail::SmtpStage stage) { return static_cast<v1::SmtpStage>(stage); }

v1::RequeueReason ToProto(mail::RequeueReason reason) {
  switch (reason) {
    case mail::RequeueReason::kNew:
      return v1::REQUEUE_REASON_NEW;
    case mail::RequeueReason::kTransientFailure:
      return v1::REQUEUE_REASON_TRANSIENT_FAILURE;
    case mail::RequeueReason::kConnectFailed:
      return v1::REQUEUE_REASON_CONNECT_FAILED;
    case mail::RequeueReason::kMxLookup:
      return v1::REQUEUE_REASON_MX_LOOKUP;
    case mail::RequeueReason::kHostBackoff:
      return v1::REQUEUE_REASON_HOST_BACKOFF;
    case mail::RequeueReason::kReply421:
      return v1::REQUEUE_REASON_REPLY_421;
    case mail::RequeueReason::kConnectionLost:
      return v1::REQUEUE_REASON_CONNECTION_LOST;
    case mail::RequeueReason::kInDoubt:
      return v1::REQUEUE_REASON_IN_DOUBT;
    case mail::RequeueReason::kPolicyHold:
      return v1::REQUEUE_REASON_POLICY_HOLD;
    case mail::RequeueReason::kSuspended:
      return v1::REQUEUE_REASON_SUSPENDED;
    case mail::RequeueReason::kThrottled:
      return v1::REQUEUE_REASON_THROTTLED;
    case mail::RequeueReason::kLocalFault:
      return v1::REQUEUE_REASON_LOCAL_FAULT;
    case mail::RequeueReason::kRestart:
      return v1::REQUEUE_REASON_RESTART;
    case mail::RequeueReason::kTlsFailed:
      return v1::REQUEUE_REASON_TLS_FAILED;
    case mail::RequeueReason::kFlushed:
      return v1::REQUEUE_REASON_FLUSHED;
    case mail::RequeueReason::kSessionEnded:
      return v1::REQUEUE_REASON_SESSION_ENDED;
    case mail::RequeueReason::kGreetingRefused:
      return v1::REQUEUE_REASON_GREETING_REFUSED;
    case mail::RequeueReason::kProtocolError:
      return v1::REQUEUE_REASON_PROTOCOL_ERROR;
  }
  return v1::REQUEUE_REASON_UNSPECIFIED;
}

void ToProto(const mail::Reply& reply, v1::Reply* out) {
  out->set_code(reply.code);
  out->set_enhanced_status(Utf8(reply.enhanced));
  out->set_text(Utf8(reply.text, kMaxReplyTextBytes));
  out->set_stage(ToProto(reply.stage));
}

void ToProto(const mail::ConnectionInfo& connection, v1::Connection* out) {
  out->set_connection_id(connection.id.ToString());
  if (connection.pair != nullptr) {
    out->set_domain(connection.pair->domain);
    out->mutable_binding()->set_name(connection.pair->binding);
  }
  out->mutable_binding()->set_slot(connection.binding_slot);
  out->set_mx_host(connection.mx_host);
  out->set_remote_address(connection.remote_address);
  out->set_local_address(connection.local_address);
}

absl::StatusOr<absl::Duration> PositiveDuration(const google::protobuf::Duration& duration,
                                                absl::string_view path, absl::Duration most) {
  const absl::Duration value =
      absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  if (value <= absl::ZeroDuration() || value > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": must be more than 0 and at most ", absl::FormatDuration(most)));
  }
  return value;
}

absl::StatusOr<base::Id> IdFromText(const std::string& text, absl::string_view path) {
  if (const std::optional<base::Id> id = base::ParseId(text); id.has_value()) return *id;
  return absl::InvalidArgumentError(absl::StrCat(path, ": must be 32 hexadecimal digits"));
}

absl::StatusOr<int> PageSize(int page_size) {
  if (page_size == 0) return kDefaultPageSize;
  if (page_size < 1 || page_size > kMaxPageSize) {
    return absl::InvalidArgumentError(absl::StrCat("page_size: must be 1 to ", kMaxPageSize));
  }
  return page_size;
}

std::string FieldOf(absl::string_view message) {
  const std::size_t end = message.find(": ");
  if (end == absl::string_view::npos || end == 0) return "";
  const absl::string_view path = message.substr(0, end);
  const bool is_path = std::all_of(path.begin(), path.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '[' ||
           c == ']';
  });
  return is_path ? std::string(path) : "";
}

}  // namespace postern::rpc

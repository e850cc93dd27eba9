// What all services have in common of proto <-> values. The rest of that border stands in
// convert_delivery.h, convert_control.h and convert_hooks.h; nothing else of rpc knows both sides.
//
// ToProto writes what an answer needs. Names of the contract are those of proto/postern/v1; errors
// begin with the path of the field at fault. Thread: any.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "postern/v1/types.pb.h"
#include "server/base/ids.h"
#include "server/base/utf8.h"
#include "server/mail/conn_error.h"
#include "server/mail/connection.h"
#include "server/mail/disposition.h"
#include "server/mail/reply.h"

namespace postern::rpc {

inline constexpr std::size_t kMaxReplyTextBytes = 1024;

// What peers say is any bytes, and a proto string must be UTF-8.
using base::Utf8;

google::protobuf::Timestamp ToProto(absl::Time time);
google::protobuf::Duration ToProto(absl::Duration duration);
v1::Disposition ToProto(mail::Disposition disposition);
v1::RequeueReason ToProto(mail::RequeueReason reason);
v1::ConnError ToProto(mail::ConnError error);
v1::CloseCause ToProto(mail::CloseCause cause);
v1::SmtpStage ToProto(mail::SmtpStage stage);
void ToProto(const mail::Reply& reply, v1::Reply* out);
void ToProto(const mail::ConnectionInfo& connection, v1::Connection* out);

// INVALID_ARGUMENT naming `path` unless `duration` is valid and in (0, `most`].
absl::StatusOr<absl::Duration> PositiveDuration(const google::protobuf::Duration& duration,
                                                absl::string_view path, absl::Duration most);
// INVALID_ARGUMENT naming `path` unless `text` is an id.
absl::StatusOr<base::Id> IdFromText(const std::string& text, absl::string_view path);
// 0 stands for 100; INVALID_ARGUMENT unless 1 to 1000.
absl::StatusOr<int> PageSize(int page_size);

// The field that an error of ours names ("recipients[1]"); empty when it names none.
std::string FieldOf(absl::string_view message);

}  // namespace postern::rpc

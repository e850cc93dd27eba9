// The functions of hooks/types.h, and the codes of hooks/connection.h held against ours.
#include <algorithm>

#include "hooks/connection.h"
#include "hooks/types.h"
#include "server/hooks/records.h"

namespace postern::hooks {
namespace {

// The bound of HOLD and AVOID_HOST, whoever says so: an hour.
constexpr int kLongestWordSeconds = 3600;

absl::Duration Word(int seconds) {
  return absl::Seconds(std::clamp(seconds, 0, kLongestWordSeconds));
}

constexpr bool Same(int code, mail::ConnError error) { return code == static_cast<int>(error); }
static_assert(Same(CONN_ERR_MX_LOOKUP_FAILED, mail::ConnError::kMxLookupFailed));
static_assert(Same(CONN_ERR_MX_LOOKUP_PENDING, mail::ConnError::kMxLookupPending));
static_assert(Same(CONN_ERR_SMTP_NULL_MX, mail::ConnError::kSmtpNullMx));
static_assert(Same(CONN_ERR_NO_MXS_REACHABLE, mail::ConnError::kNoMxsReachable));
static_assert(Same(CONN_ERR_PROHIBITED_IP, mail::ConnError::kProhibitedIp));
static_assert(Same(CONN_ERR_HOST_MAX_REACHED, mail::ConnError::kHostMaxReached));
static_assert(Same(CONN_ERR_SOCKET, mail::ConnError::kSocket));
static_assert(Same(CONN_ERR_IOCTL, mail::ConnError::kIoctl));
static_assert(Same(CONN_ERR_BIND, mail::ConnError::kBind));
static_assert(Same(CONN_ERR_CONNECT, mail::ConnError::kConnect));
static_assert(Same(CONN_ERR_CONNECT_NETWORK, mail::ConnError::kConnectNetwork));
static_assert(Same(CONN_ERR_CONNECT_TIMEOUT, mail::ConnError::kConnectTimeout));

}  // namespace
}  // namespace postern::hooks

using postern::hooks::DeliveryConstruct;
using postern::hooks::DomainRecord;

const ec_message* ec_probable_message(const domain_record* dr, int binding_slot) {
  const ec_message* head = DomainRecord::From(dr).probable_message;
  return head != nullptr && head->binding_slot == binding_slot ? head : nullptr;
}

const char* ec_message_recipient(const ec_message* message, int index) {
  if (index < 0) return nullptr;
  if (index < message->_recipient_count) return message->_recipients[index];
  // Outside a transaction only the first recipient is known.
  return index == 0 ? message->_rcptto : nullptr;
}

void delivery_construct_hold(delivery_construct* dc, int seconds) {
  DeliveryConstruct::From(dc).hold = postern::hooks::Word(seconds);
}

void delivery_construct_avoid_host(delivery_construct* dc, int seconds) {
  DeliveryConstruct::From(dc).avoid_host = postern::hooks::Word(seconds);
}

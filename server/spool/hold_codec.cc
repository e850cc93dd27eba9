#include "server/spool/hold_codec.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/spool/wire.h"

namespace postern::spool {
namespace {

constexpr unsigned char kHoldVersion = 1;

}  // namespace

std::string HoldKey(const mail::Hold& hold) {
  // Neither a kind, a glob nor the name of a binding holds a slash.
  return absl::StrCat(kHoldPrefix, static_cast<int>(hold.kind), "/", hold.scope.domain, "/",
                      hold.scope.binding);
}

std::string EncodeHold(const mail::Hold& hold) {
  std::string value(1, static_cast<char>(kHoldVersion));
  PutVarint(value, static_cast<std::uint64_t>(hold.kind));
  PutVarint(value, FromTime(hold.since));
  PutVarint(value, FromTime(hold.until));
  for (const std::string* text : {&hold.scope.domain, &hold.scope.binding, &hold.who, &hold.reason})
    PutBytes(value, *text);
  return value;
}

absl::StatusOr<mail::Hold> DecodeHold(absl::string_view value) {
  if (value.empty()) return absl::DataLossError("a hold's record is empty");
  const auto version = static_cast<unsigned char>(value.front());
  if (version > kHoldVersion) {
    return absl::UnimplementedError(absl::StrCat("a hold's record has version ", int{version}));
  }
  Reader in(value.substr(1));
  mail::Hold hold;
  const auto kind = in.Number<std::uint8_t>(2);
  hold.kind = static_cast<mail::Hold::Kind>(kind);
  hold.since = ToTime(in.Varint());
  hold.until = ToTime(in.Varint());
  for (std::string* text : {&hold.scope.domain, &hold.scope.binding, &hold.who, &hold.reason}) {
    *text = Copy(in.Bytes());
  }
  if (!in.ok() || version == 0 || kind == 0 || hold.scope.domain.empty()) {
    return absl::DataLossError("a hold's record does not parse");
  }
  return hold;
}

}  // namespace postern::spool

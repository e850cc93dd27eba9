#include "server/config/values.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "postern/v1/types.pb.h"
#include "server/config/problems.h"

namespace postern::config {
namespace {

struct Unit {
  absl::string_view name;
  absl::Duration length;
};
constexpr Unit kUnits[] = {{"d", absl::Hours(24)},
                           {"h", absl::Hours(1)},
                           {"m", absl::Minutes(1)},
                           {"s", absl::Seconds(1)},
                           {"ms", absl::Milliseconds(1)}};

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

// Takes the leading characters for which `wanted` holds off `text`.
template <typename Wanted>
absl::string_view TakeWhile(absl::string_view& text, Wanted wanted) {
  std::size_t n = 0;
  while (n < text.size() && wanted(static_cast<unsigned char>(text[n]))) ++n;
  const absl::string_view taken = text.substr(0, n);
  text.remove_prefix(n);
  return taken;
}

// "DEFAULT_VERDICT_" of DEFAULT_VERDICT_UNSPECIFIED, as every enum of the contract begins.
absl::string_view Prefix(const google::protobuf::EnumDescriptor& type) {
  const absl::string_view zero = type.value(0)->name();
  constexpr absl::string_view kUnspecified = "UNSPECIFIED";
  return absl::EndsWith(zero, kUnspecified) ? zero.substr(0, zero.size() - kUnspecified.size())
                                            : absl::string_view();
}

bool NotServed(const google::protobuf::EnumValueDescriptor& value) {
  return value.options().GetExtension(postern::v1::value_not_served);
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  if (AllDigits(text)) {
    return absl::InvalidArgumentError(absl::StrCat("has no unit: write ", text.substr(0, 20), "s, ",
                                                   text.substr(0, 20),
                                                   "m or another of ms, s, m, h, d"));
  }
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("expected a duration such as 300ms, 30s, 5m, 1h30m or 5d, not ", Quoted(text)));
  absl::Duration sum;
  const Unit* next = std::begin(kUnits);
  for (absl::string_view rest = text; !rest.empty() || text.empty();) {
    const absl::string_view digits = TakeWhile(rest, absl::ascii_isdigit);
    const absl::string_view name = TakeWhile(rest, absl::ascii_isalpha);
    // Nine digits are more than any bound, and no product overflows.
    std::int64_t count = 0;
    if (digits.empty() || digits.size() > 9 || !absl::SimpleAtoi(digits, &count)) return bad;
    const Unit* unit =
        std::find_if(next, std::end(kUnits), [name](const Unit& u) { return u.name == name; });
    if (unit == std::end(kUnits)) return bad;
    sum += unit->length * count;
    next = unit + 1;
  }
  return sum;
}

absl::StatusOr<std::int64_t> ParseSize(absl::string_view text) {
  absl::string_view unit = text;
  const absl::string_view digits = TakeWhile(unit, absl::ascii_isdigit);
  std::int64_t factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "KiB") factor = std::int64_t{1} << 10;
  if (unit == "MiB") factor = std::int64_t{1} << 20;
  if (unit == "GiB") factor = std::int64_t{1} << 30;
  if (digits.empty() || factor == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected a size such as 4KiB, 64MiB, 2GiB or a number of bytes, not ", Quoted(text)));
  }
  std::int64_t count = 0;
  if (!absl::SimpleAtoi(digits, &count) ||
      count > std::numeric_limits<std::int64_t>::max() / factor) {
    return absl::InvalidArgumentError(absl::StrCat("out of range: ", Quoted(text)));
  }
  return count * factor;
}

absl::StatusOr<std::int64_t> ParseInteger(absl::string_view text, std::int64_t min,
                                          std::int64_t max) {
  const absl::string_view digits = absl::StartsWith(text, "-") ? text.substr(1) : text;
  if (!AllDigits(digits)) {
    return absl::InvalidArgumentError(absl::StrCat("expected a whole number, not ", Quoted(text)));
  }
  std::int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < min || value > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("out of range: ", Quoted(text), "; ", min, " to ", max));
  }
  return value;
}

absl::StatusOr<std::uint64_t> ParseUnsigned(absl::string_view text, std::uint64_t max) {
  const absl::string_view digits = absl::StartsWith(text, "-") ? text.substr(1) : text;
  if (!AllDigits(digits)) {
    return absl::InvalidArgumentError(absl::StrCat("expected a whole number, not ", Quoted(text)));
  }
  std::uint64_t value = 0;
  if (digits.size() != text.size() || !absl::SimpleAtoi(text, &value) || value > max) {
    return absl::InvalidArgumentError(absl::StrCat("out of range: ", Quoted(text), "; 0 to ", max));
  }
  return value;
}

std::string ShortName(const google::protobuf::EnumValueDescriptor& value) {
  absl::string_view name = value.name();
  name.remove_prefix(Prefix(*value.type()).size());
  return absl::AsciiStrToLower(name);
}

absl::StatusOr<int> ParseEnum(absl::string_view text,
                              const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> served;
  for (int i = 1; i < type.value_count(); ++i) {
    const google::protobuf::EnumValueDescriptor& value = *type.value(i);
    const std::string name = ShortName(value);
    if (name == text) {
      if (!NotServed(value)) return value.number();
      return absl::InvalidArgumentError(absl::StrCat("the value ", name, " is not served yet"));
    }
    if (!NotServed(value)) served.push_back(name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected one of ", absl::StrJoin(served, ", "), ", not ", Quoted(text)));
}

std::string DurationText(absl::Duration duration) {
  std::string out;
  for (const Unit& unit : kUnits) {
    const std::int64_t count = absl::IDivDuration(duration, unit.length, &duration);
    if (count > 0) absl::StrAppend(&out, count, unit.name);
  }
  return out.empty() ? "0s" : out;
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<std::int32_t>(duration / absl::Nanoseconds(1)));
  return proto;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp proto;
  const std::int64_t seconds = absl::ToUnixSeconds(time);
  proto.set_seconds(seconds);
  proto.set_nanos(
      static_cast<std::int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
  return proto;
}

std::string SizeText(std::int64_t bytes) {
  for (const auto& [name, shift] :
       {std::pair("GiB", 30), std::pair("MiB", 20), std::pair("KiB", 10)}) {
    const std::int64_t unit = std::int64_t{1} << shift;
    if (bytes != 0 && bytes % unit == 0) return absl::StrCat(bytes / unit, name);
  }
  return absl::StrCat(bytes);
}

}  // namespace postern::config

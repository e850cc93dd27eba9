#include "client/format.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "client/terminal.h"
#include "google/protobuf/util/json_util.h"

namespace postern::client {
namespace {

constexpr std::array kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

struct KindAlias {
  absl::string_view alias;
  v1::EventKind kind;
};

constexpr std::array kKinds = {
    KindAlias{"connection", v1::EVENT_KIND_POST_INITIATE_CONNECTION_SMTP},
    KindAlias{"ready", v1::EVENT_KIND_SESSION_READY},
    KindAlias{"attempt", v1::EVENT_KIND_DELIVERY_ATTEMPT},
    KindAlias{"verdict", v1::EVENT_KIND_VERDICT},
    KindAlias{"closed", v1::EVENT_KIND_CONNECTION_CLOSED},
};

bool IsNumeric(std::string_view cell) {
  return !cell.empty() && std::all_of(cell.begin(), cell.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

}  // namespace

std::string CodeName(int code) {
  if (code >= 0 && code < static_cast<int>(kCodeNames.size())) {
    return kCodeNames[static_cast<std::size_t>(code)];
  }
  return absl::StrCat("CODE_", code);
}

std::string Printable(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += " / ";
    } else if (c != '\r') {
      line += byte < 0x20 || byte == 0x7f ? '?' : c;
    }
  }
  return line;
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  // The only failure is a time out of range, which an honest server does not send.
  return status.ok() ? json : absl::StrCat(R"({"error":")", status.message().ToString(), R"("})");
}

std::string ShortName(const google::protobuf::EnumDescriptor& type, int value) {
  if (value == 0) return "-";
  const auto* found = type.FindValueByNumber(value);
  if (found == nullptr) return absl::StrCat(value);
  // Every value begins with the name of its enum: ..._UNSPECIFIED shows how long that is.
  const std::string& zero = type.FindValueByNumber(0)->name();
  const std::size_t prefix = zero.size() - absl::string_view("UNSPECIFIED").size();
  return absl::AsciiStrToLower(found->name().substr(prefix));
}

std::string FormatDuration(const google::protobuf::Duration& duration) {
  const double seconds =
      static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) * 1e-9;
  if (seconds < 0) return absl::StrFormat("%.0fs", seconds);
  if (seconds == 0) return "0s";
  if (seconds < 0.001) return absl::StrFormat("%.0fus", seconds * 1e6);
  if (seconds < 1) return absl::StrFormat("%.0fms", seconds * 1e3);
  if (seconds < 60) return absl::StrFormat("%.1fs", seconds);
  const std::int64_t whole = duration.seconds();
  if (whole < 3600) return absl::StrFormat("%dm%ds", whole / 60, whole % 60);
  if (whole < 86400) return absl::StrFormat("%dh%dm", whole / 3600, whole % 3600 / 60);
  return absl::StrFormat("%dd%dh", whole / 86400, whole % 86400 / 3600);
}

std::string FormatTime(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0 && time.nanos() == 0) return "-";
  const absl::Time when = absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
  const absl::TimeZone zone = absl::LocalTimeZone();
  const bool today = absl::ToCivilDay(when, zone) == absl::ToCivilDay(now, zone);
  return absl::FormatTime(today ? "%H:%M:%E3S" : "%Y-%m-%d %H:%M:%E3S", when, zone);
}

std::string FormatReply(const v1::Reply& reply) {
  std::vector<std::string> parts;
  if (reply.code() != 0) parts.push_back(absl::StrCat(reply.code()));
  if (!reply.enhanced_status().empty()) parts.push_back(Printable(reply.enhanced_status()));
  if (!reply.text().empty()) parts.push_back(Printable(reply.text()));
  return parts.empty() ? "-" : absl::StrJoin(parts, " ");
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows, bool colours) {
  if (rows.size() < 2) return "";
  const std::size_t columns = rows[0].size();
  std::vector<std::size_t> width(columns, 0);
  std::vector<bool> right(columns, true);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      width[c] = std::max(width[c], rows[r][c].size());
      if (r > 0 && !IsNumeric(rows[r][c])) right[c] = false;
    }
  }
  std::string table;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto& row = rows[r];
    std::string line;
    for (std::size_t c = 0; c < columns; ++c) {
      if (c > 0) line += "  ";
      const std::string padding(width[c] - row[c].size(), ' ');
      const std::string cell = PaintWord(row[c], colours && r > 0);
      line += right[c] ? padding + cell : cell + padding;
    }
    absl::StrAppend(&table, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return table;
}

std::string CheckDuration(const std::string& text) {
  return ParseDuration(text) ? "" : "is not a duration such as 90s, 10m or 2h";
}

std::string PairName(const std::string& domain, const v1::Binding& binding) {
  return Printable(absl::StrCat(domain, "/", binding.name()));
}

std::optional<google::protobuf::Duration> ParseDuration(absl::string_view text) {
  absl::Duration value;
  double days = 0;
  if (absl::EndsWith(text, "d") && absl::SimpleAtod(text.substr(0, text.size() - 1), &days) &&
      days <= 36500) {
    value = absl::Hours(24) * days;
  } else if (!absl::ParseDuration(std::string(text), &value)) {
    return std::nullopt;
  }
  if (value < absl::ZeroDuration() || value > absl::Hours(24 * 36500)) return std::nullopt;
  google::protobuf::Duration duration;
  absl::Duration rest;
  duration.set_seconds(absl::IDivDuration(value, absl::Seconds(1), &rest));
  duration.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
  return duration;
}

std::optional<std::vector<v1::EventKind>> ParseKinds(absl::string_view text) {
  std::vector<v1::EventKind> kinds;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const auto found = std::find_if(kKinds.begin(), kKinds.end(), [part](const KindAlias& known) {
      return part == known.alias || part == ShortName(known.kind);
    });
    if (found != kKinds.end()) {
      kinds.push_back(found->kind);
    } else if (part == "all") {
      for (const auto& known : kKinds) kinds.push_back(known.kind);
    } else {
      return std::nullopt;
    }
  }
  return kinds;
}

}  // namespace postern::client

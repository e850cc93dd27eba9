// Pure functions between what the server sends and what a terminal shows, and back from what the
// user typed.
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Debian's Abseil has a string_view of its own: what goes to Abseil is taken as one.
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/timestamp.pb.h"
#include "postern/v1/hooks.pb.h"
#include "postern/v1/types.pb.h"

namespace postern::client {

// "UNAVAILABLE" for grpc::StatusCode::UNAVAILABLE; "CODE_42" for a number gRPC does not define.
std::string CodeName(int code);

// `text` on one line that cannot command a terminal: line ends become " / ", other control
// characters "?". Replies and reasons come from strangers.
std::string Printable(std::string_view text);

// One protobuf-JSON object without line ends; field names as in the .proto files, default values
// printed, so that every line of a kind has the same keys.
std::string ToJson(const google::protobuf::Message& message);

// "deferred" for DISPOSITION_DEFERRED, "-" for ..._UNSPECIFIED, the number for an unknown value.
template <typename Enum>
std::string ShortName(Enum value);
std::string ShortName(const google::protobuf::EnumDescriptor& type, int value);

// "340us", "12ms", "1.5s", "3m20s", "5h10m", "2d4h".
std::string FormatDuration(const google::protobuf::Duration& duration);

// "14:03:59.120", local time, with the date in front when that is not the day of `now`
// ("2024-02-29 14:03:59.120"); "-" when unset.
std::string FormatTime(const google::protobuf::Timestamp& time, absl::Time now = absl::Now());

// "250 2.0.0 ok" or, when no reply came, the text; "-" when there is neither.
std::string FormatReply(const v1::Reply& reply);

// The last 8 digits of an id, enough to tell connections and messages apart on a screen (the first
// ones are the time of minting and alike); "-" when empty.
std::string ShortId(const std::string& id);

// One line: time, sequence, kind, pair, connection, what happened. With `colours` its outcome has
// one (terminal.h).
std::string FormatEvent(const v1::Event& event, bool colours = false);
std::string FormatQuestion(const v1::Question& question);
std::string FormatVerdictResult(const v1::VerdictResult& result);
std::string FormatGap(const v1::Gap& gap);

// Rows of equal length, the first one the header, as aligned columns; columns of numbers are
// aligned to the right. Empty without rows below the header. With `colours` a cell that is the name
// of a state has that state's.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows, bool colours = false);

// "30s", "1h30m", "250ms", "5d"; nullopt for anything else, and for what is negative.
std::optional<google::protobuf::Duration> ParseDuration(absl::string_view text);

// Of an option that takes one: empty, or what is wrong with it (CLI::Option::check).
std::string CheckDuration(const std::string& text);

// "domain/binding".
std::string PairName(const std::string& domain, const v1::Binding& binding);

// Kinds of events by full name or alias (connection, ready, attempt, verdict, closed), separated by
// commas; "all" is all of them. nullopt when one is unknown.
std::optional<std::vector<v1::EventKind>> ParseKinds(absl::string_view text);

// ---- implementation ----

template <typename Enum>
std::string ShortName(Enum value) {
  return ShortName(*google::protobuf::GetEnumDescriptor<Enum>(), static_cast<int>(value));
}

}  // namespace postern::client

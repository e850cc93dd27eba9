// JsonLine: one JSON object (RFC 8259) on one line, written field by field.
//
//   std::string line = JsonLine().Text("event", "final").Number("attempts", 3).Take();
//
// Keys are ours and need no escaping. Thread: one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace postern::base {

class JsonLine {
 public:
  // Any octets; what is not UTF-8 becomes "?". Left out when empty.
  JsonLine& Text(absl::string_view key, absl::string_view value);
  JsonLine& Number(absl::string_view key, std::uint64_t value);
  // In seconds, to the microsecond.
  JsonLine& Seconds(absl::string_view key, absl::Duration value);
  // UTC, as RFC 3339 says, to the microsecond.
  JsonLine& Time(absl::string_view key, absl::Time value);
  // Left out when false.
  JsonLine& Flag(absl::string_view key, bool value);
  // What other JsonLines gave.
  JsonLine& Object(absl::string_view key, absl::string_view object);
  JsonLine& List(absl::string_view key, const std::vector<std::string>& objects);

  // "{...}", without a line end. Once.
  std::string Take();

 private:
  void Key(absl::string_view key);

  std::string text_ = "{";
};

}  // namespace postern::base

#include "server/base/json_line.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/base/utf8.h"

namespace postern::base {
namespace {

void AppendQuoted(absl::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : Utf8(text)) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

}  // namespace

void JsonLine::Key(absl::string_view key) {
  absl::StrAppend(&text_, text_.size() > 1 ? ",\"" : "\"", key, "\":");
}

JsonLine& JsonLine::Text(absl::string_view key, absl::string_view value) {
  if (value.empty()) return *this;
  Key(key);
  AppendQuoted(value, &text_);
  return *this;
}

JsonLine& JsonLine::Number(absl::string_view key, std::uint64_t value) {
  Key(key);
  absl::StrAppend(&text_, value);
  return *this;
}

JsonLine& JsonLine::Seconds(absl::string_view key, absl::Duration value) {
  Key(key);
  absl::StrAppendFormat(&text_, "%.6f", absl::ToDoubleSeconds(value));
  return *this;
}

JsonLine& JsonLine::Time(absl::string_view key, absl::Time value) {
  Key(key);
  absl::StrAppend(&text_, "\"",
                  absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", value, absl::UTCTimeZone()), "\"");
  return *this;
}

JsonLine& JsonLine::Flag(absl::string_view key, bool value) {
  if (!value) return *this;
  Key(key);
  text_ += "true";
  return *this;
}

JsonLine& JsonLine::Object(absl::string_view key, absl::string_view object) {
  Key(key);
  absl::StrAppend(&text_, object);
  return *this;
}

JsonLine& JsonLine::List(absl::string_view key, const std::vector<std::string>& objects) {
  Key(key);
  absl::StrAppend(&text_, "[", absl::StrJoin(objects, ","), "]");
  return *this;
}

std::string JsonLine::Take() {
  text_.push_back('}');
  return std::move(text_);
}

}  // namespace postern::base

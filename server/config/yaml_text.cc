#include "server/config/yaml_text.h"
#include "postern/v1/config.pb.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/base/check.h"
#include "server/config/field_text.h"
#include "server/config/values.h"

namespace postern::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr absl::string_view kWords[] = {"true", "false", "null", "yes", "no", "on", "off"};

std::string DurationOf(const Message& message) {
  return DurationText(FromProto(static_cast<const google::protobuf::Duration&>(message)));
}

std::string EnumText(const FieldDescriptor& field, int number) {
  const auto* value = field.enum_type()->FindValueByNumber(number);
  return value == nullptr ? absl::StrCat(number) : ShortName(*value);
}

// One value, of a field that is no group and no map.
std::string Single(const Message& message, const FieldDescriptor& field) {
  const Reflection& r = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(r.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(r.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t value = r.GetInt64(message, &field);
      return absl::EndsWith(field.name(), "_bytes") ? SizeText(value) : absl::StrCat(value);
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrCat(r.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(field, r.GetEnumValue(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return YamlScalar(r.GetString(message, &field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return DurationOf(r.GetMessage(message, &field));
    default:
      POSTERN_CHECK(false);
      return "";
  }
}

// One entry of such a list; the schema has lists of text, durations and enums.
std::string Entry(const Message& message, const FieldDescriptor& field, int i) {
  const Reflection& r = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return YamlScalar(r.GetRepeatedString(message, &field, i));
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(field, r.GetRepeatedEnumValue(message, &field, i));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return DurationOf(r.GetRepeatedMessage(message, &field, i));
    default:
      POSTERN_CHECK(false);
      return "";
  }
}

class Writer {
 public:
  std::string Take() { return std::move(out_); }

  void WriteMessage(const Message& message, int indent) {
    const auto& type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) WriteField(message, *type.field(i), indent);
  }

 private:
  void Line(int indent, absl::string_view text) {
    if (after_dash_) {
      after_dash_ = false;  // the first line of a list's entry stands behind its dash
    } else {
      out_.append(static_cast<std::size_t>(indent), ' ');
    }
    absl::StrAppend(&out_, text, "\n");
  }

  void WriteField(const Message& message, const FieldDescriptor& field, int indent) {
    const Reflection& r = *message.GetReflection();
    if (field.is_map()) return WriteMap(message, field, indent);
    const bool group = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsDuration(field);
    if (field.is_repeated()) {
      if (r.FieldSize(message, &field) == 0) return;
      if (group) return WriteGroups(message, field, indent);
      std::vector<std::string> entries;
      for (int i = 0; i < r.FieldSize(message, &field); ++i) {
        entries.push_back(Entry(message, field, i));
      }
      return Line(indent, absl::StrCat(field.name(), ": [", absl::StrJoin(entries, ", "), "]"));
    }
    if (!r.HasField(message, &field)) return;
    if (!group) return Line(indent, absl::StrCat(field.name(), ": ", Single(message, field)));
    WriteGroup(absl::StrCat(field.name(), ":"), r.GetMessage(message, &field), indent);
  }

  void WriteGroup(const std::string& head, const Message& group, int indent) {
    std::vector<const FieldDescriptor*> set;
    group.GetReflection()->ListFields(group, &set);
    if (set.empty()) return Line(indent, absl::StrCat(head, " {}"));
    Line(indent, head);
    WriteMessage(group, indent + 2);
  }

  void WriteGroups(const Message& message, const FieldDescriptor& field, int indent) {
    const Reflection& r = *message.GetReflection();
    Line(indent, absl::StrCat(field.name(), ":"));
    for (int i = 0; i < r.FieldSize(message, &field); ++i) {
      const Message& entry = r.GetRepeatedMessage(message, &field, i);
      std::vector<const FieldDescriptor*> set;
      entry.GetReflection()->ListFields(entry, &set);
      if (set.empty()) {
        Line(indent, "- {}");
        continue;
      }
      out_.append(static_cast<std::size_t>(indent), ' ');
      out_ += "- ";
      after_dash_ = true;
      WriteMessage(entry, indent + 2);
    }
  }

  // In order of the keys. The one map of the schema is Module.options; not by reflection, as in
  // yaml_walker.cc.
  void WriteMap(const Message& message, const FieldDescriptor& field, int indent) {
    const auto* module = google::protobuf::DynamicCastToGenerated<postern::v1::Module>(&message);
    POSTERN_CHECK(module != nullptr);
    const std::map<std::string, std::string> sorted(module->options().begin(),
                                                    module->options().end());
    if (sorted.empty()) return;
    Line(indent, absl::StrCat(field.name(), ":"));
    for (const auto& [key, value] : sorted) {
      Line(indent + 2, absl::StrCat(YamlScalar(key), ": ", YamlScalar(value)));
    }
  }

  std::string out_;
  bool after_dash_ = false;
};

}  // namespace

std::string YamlScalar(absl::string_view text) {
  const auto plain = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_./@+:-", c);
  };
  const bool simple =
      !text.empty() && text.size() <= 256 && std::all_of(text.begin(), text.end(), plain) &&
      (absl::ascii_isalnum(static_cast<unsigned char>(text[0])) || text[0] == '/') &&
      !absl::EndsWith(text, ":") &&
      std::none_of(std::begin(kWords), std::end(kWords),
                   [text](absl::string_view word) { return absl::EqualsIgnoreCase(word, text); });
  if (simple) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, c));
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string ToYaml(const Message& message) {
  Writer writer;
  writer.WriteMessage(message, 0);
  return writer.Take();
}

}  // namespace postern::config

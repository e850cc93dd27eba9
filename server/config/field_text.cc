#include "server/config/field_text.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/config/problems.h"
#include "server/config/values.h"

namespace postern::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

template <typename T, typename Set, typename Add>
absl::Status Store(const absl::StatusOr<T>& value, bool repeated, Set set, Add add) {
  if (repeated) {
    add(value.ok() ? *value : T());
  } else if (value.ok()) {
    set(*value);
  }
  return value.status();
}

// Single numbers and booleans; the contract has no lists of them.
absl::Status SetNumber(const std::string& text, const FieldDescriptor& field, Message& message) {
  const Reflection& r = *message.GetReflection();
  const auto nothing = [](auto) {};
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return Store<std::uint64_t>(
          ParseUnsigned(text, std::numeric_limits<std::uint32_t>::max()), false,
          [&](std::uint64_t v) { r.SetUInt32(&message, &field, static_cast<std::uint32_t>(v)); },
          nothing);
    case FieldDescriptor::CPPTYPE_UINT64:
      return Store<std::uint64_t>(
          ParseUnsigned(text, std::numeric_limits<std::uint64_t>::max()), false,
          [&](std::uint64_t v) { r.SetUInt64(&message, &field, v); }, nothing);
    case FieldDescriptor::CPPTYPE_INT64:
      return Store<std::int64_t>(
          absl::EndsWith(field.name(), "_bytes")
              ? ParseSize(text)
              : ParseInteger(text, std::numeric_limits<std::int64_t>::min(),
                             std::numeric_limits<std::int64_t>::max()),
          false, [&](std::int64_t v) { r.SetInt64(&message, &field, v); }, nothing);
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) {
        return absl::InvalidArgumentError(absl::StrCat("expected a number, not ", Quoted(text)));
      }
      r.SetDouble(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") {
        return absl::InvalidArgumentError(
            absl::StrCat("expected true or false, not ", Quoted(text)));
      }
      r.SetBool(&message, &field, text == "true");
      return absl::OkStatus();
    default:
      return absl::UnimplementedError("cannot be set in a file");
  }
}

}  // namespace

bool IsDuration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type()->full_name() == "google.protobuf.Duration";
}

absl::Status SetFieldText(const std::string& text, bool quoted, const FieldDescriptor& field,
                          Message& message) {
  const Reflection& r = *message.GetReflection();
  const bool repeated = field.is_repeated();
  const bool textual = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING ||
                       field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM || IsDuration(field);
  // Lists in the contract are of text, durations and groups, so nothing needs an entry here.
  if (quoted && !textual) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected ",
        field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL ? "true or false" : "a number",
        ", not the quoted text ", Quoted(text)));
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return Store<std::string>(
          text, repeated, [&](const std::string& v) { r.SetString(&message, &field, v); },
          [&](const std::string& v) { r.AddString(&message, &field, v); });
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Store<absl::Duration>(
          ParseDuration(text), repeated,
          [&](absl::Duration v) { r.MutableMessage(&message, &field)->CopyFrom(ToProto(v)); },
          [&](absl::Duration v) { r.AddMessage(&message, &field)->CopyFrom(ToProto(v)); });
    case FieldDescriptor::CPPTYPE_ENUM:
      return Store<int>(
          ParseEnum(text, *field.enum_type()), repeated,
          [&](int v) { r.SetEnumValue(&message, &field, v); },
          [&](int v) { r.AddEnumValue(&message, &field, v); });
    default:
      return SetNumber(text, field, message);
  }
}

}  // namespace postern::config

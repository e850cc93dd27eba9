#include "server/rpc/unserved.h"

#include "absl/strings/str_cat.h"
#include "postern/v1/types.pb.h"

namespace postern::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string PathOf(const std::string& parent, const FieldDescriptor* field, int index) {
  std::string path = parent.empty() ? field->name() : absl::StrCat(parent, ".", field->name());
  if (field->is_repeated()) absl::StrAppend(&path, "[", index, "]");
  return path;
}

absl::Status CheckEnum(const FieldDescriptor* field, int number, const std::string& path) {
  const EnumValueDescriptor* value = field->enum_type()->FindValueByNumber(number);
  if (value == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", number, " is no ", field->enum_type()->name()));
  }
  if (value->options().GetExtension(v1::value_not_served)) {
    return absl::UnimplementedError(absl::StrCat(path, ": ", value->name(), " is not served yet"));
  }
  return absl::OkStatus();
}

}  // namespace

ServedCheck::ServedCheck(const Descriptor* type) {
  MakePlan(type);
  root_ = &plans_[type];
}

bool ServedCheck::MakePlan(const Descriptor* type) {
  const auto [it, fresh] = plans_.try_emplace(type);
  if (!fresh) return true;  // a type inside itself: its plan is being made
  Plan plan;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->options().GetExtension(v1::not_served)) {
      plan.push_back({field, true});
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      plan.push_back({field, false});
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map() &&
               MakePlan(field->message_type())) {
      plan.push_back({field, false});
    }
  }
  it->second = std::move(plan);
  return !it->second.empty();
}

absl::Status ServedCheck::Check(const Message& message) const {
  return CheckMessage(message, *root_, "");
}

absl::Status ServedCheck::CheckMessage(const Message& message, const Plan& plan,
                                       const std::string& path) const {
  const Reflection* reflection = message.GetReflection();
  for (const Look& look : plan) {
    const bool set = look.field->is_repeated() ? reflection->FieldSize(message, look.field) > 0
                                               : reflection->HasField(message, look.field);
    if (!set) continue;
    if (look.refuse) {
      return absl::UnimplementedError(absl::StrCat(path.empty() ? "" : absl::StrCat(path, "."),
                                                   look.field->name(), ": not served yet"));
    }
    if (absl::Status status = CheckField(message, look, path); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ServedCheck::CheckField(const Message& message, const Look& look,
                                     const std::string& path) const {
  const Reflection* reflection = message.GetReflection();
  const FieldDescriptor* field = look.field;
  const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
  for (int i = 0; i < count; ++i) {
    absl::Status status;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const int number = field->is_repeated() ? reflection->GetRepeatedEnumValue(message, field, i)
                                              : reflection->GetEnumValue(message, field);
      status = CheckEnum(field, number, PathOf(path, field, i));
    } else {
      const Message& inner = field->is_repeated()
                                 ? reflection->GetRepeatedMessage(message, field, i)
                                 : reflection->GetMessage(message, field);
      status = CheckMessage(inner, plans_.at(field->message_type()), PathOf(path, field, i));
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace postern::rpc

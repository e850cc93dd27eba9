#include "server/config/redact.h"

#include <functional>
#include <vector>

#include "postern/v1/types.pb.h"

namespace postern::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr char kRedacted[] = "<redacted>";

// Calls `visit` for every secret of the message that is set. Secrets are single strings.
void ForEachSecret(
    const Message& message, const std::string& path,
    const std::function<void(const Message&, const FieldDescriptor&, const std::string&)>& visit) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string where = Join(path, field->name());
    if (field->options().GetExtension(postern::v1::sensitive)) {
      visit(message, *field, where);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      const auto& r = *message.GetReflection();
      if (!field->is_repeated()) {
        ForEachSecret(r.GetMessage(message, field), where, visit);
        continue;
      }
      for (int i = 0; i < r.FieldSize(message, field); ++i) {
        ForEachSecret(r.GetRepeatedMessage(message, field, i), Element(where, i), visit);
      }
    }
  }
}

}  // namespace

postern::v1::Config Redacted(const postern::v1::Config& config) {
  postern::v1::Config copy = config;
  // The walk is over our own copy, and a secret is set in place: nothing moves.
  ForEachSecret(copy, "", [](const Message& holder, const FieldDescriptor& field, const auto&) {
    holder.GetReflection()->SetString(const_cast<Message*>(&holder), &field, kRedacted);
  });
  return copy;
}

void CheckRedacted(const Message& message, const std::string& path, Problems& problems) {
  ForEachSecret(
      message, path,
      [&problems](const Message& holder, const FieldDescriptor& field, const std::string& where) {
        if (holder.GetReflection()->GetString(holder, &field) == kRedacted) {
          problems.Add(where, "is redacted: write the secret itself");
        }
      });
}

}  // namespace postern::config

// ServedCheck: refuses what the contract has but this release does not serve.
//
// Fields with the option (not_served), enum values with (value_not_served); see types.proto. What a
// client sets is served or refused, never ignored.
#pragma once

#include <google/protobuf/message.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace postern::rpc {

class ServedCheck {
 public:
  // Finds once what there is to look at in messages of this type and in those inside.
  explicit ServedCheck(const google::protobuf::Descriptor* type);

  // UNIMPLEMENTED beginning with the path of the first such field that is set
  // ("attach.default_verdict: DEFAULT_VERDICT_HOLD is not served yet"). INVALID_ARGUMENT for a
  // number that is no value of its enum. REQUIRES: `message` is of the type. Thread: any.
  absl::Status Check(const google::protobuf::Message& message) const;

 private:
  struct Look {
    const google::protobuf::FieldDescriptor* field;
    bool refuse;  // set at all; else: look at its value or inside
  };
  using Plan = std::vector<Look>;

  // True if there is anything to look at in `type`.
  bool MakePlan(const google::protobuf::Descriptor* type);
  absl::Status CheckMessage(const google::protobuf::Message& message, const Plan& plan,
                            const std::string& path) const;
  absl::Status CheckField(const google::protobuf::Message& message, const Look& look,
                          const std::string& path) const;

  std::map<const google::protobuf::Descriptor*, Plan> plans_;
  const Plan* root_ = nullptr;
};

}  // namespace postern::rpc

#include "server/config/restart.h"

#include <algorithm>
#include <functional>

#include "absl/strings/string_view.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/config/problems.h"

namespace postern::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Of `server` everything is read at the start, but for these.
constexpr absl::string_view kLiveServerFields[] = {"log_level", "hostname"};
// Of `policy` everything takes effect at once, but for these.
constexpr absl::string_view kFixedPolicyFields[] = {"bridge_place",   "max_streams",
                                                    "max_wait_share", "event_ring_events",
                                                    "event_ring_age", "audit_log"};

template <std::size_t n>
bool Contains(const absl::string_view (&names)[n], absl::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

void Compare(const Message& a, const Message& b, const std::string& path,
             const std::function<bool(absl::string_view)>& fixed, std::vector<std::string>* out) {
  const auto& type = *a.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (!fixed(field->name())) continue;
    google::protobuf::util::MessageDifferencer differencer;
    if (!differencer.CompareWithFields(a, b, {field}, {field})) {
      out->push_back(Join(path, field->name()));
    }
  }
}

}  // namespace

std::vector<std::string> RestartPaths(const postern::v1::Config& running,
                                      const postern::v1::Config& next) {
  std::vector<std::string> paths;
  Compare(
      running.server(), next.server(), "server",
      [](absl::string_view name) { return !Contains(kLiveServerFields, name); }, &paths);
  Compare(
      running, next, "", [](absl::string_view name) { return name == "modules"; }, &paths);
  Compare(
      running.policy(), next.policy(), "policy",
      [](absl::string_view name) { return Contains(kFixedPolicyFields, name); }, &paths);
  return paths;
}

}  // namespace postern::config

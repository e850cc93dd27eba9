#include "server/rpc/convert_switch.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "postern/v1/state.pb.h"
#include "server/config/state_file.h"
#include "server/config/values.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_config.h"

namespace postern::rpc {
namespace {

static_assert(static_cast<int>(bridge::SwitchPosition::kForceKeep) == v1::POLICY_SWITCH_FORCE_KEEP);

constexpr absl::Duration kLongest = absl::Hours(24 * 30);

bridge::SwitchState FromProto(const v1::PolicySwitchState& state) {
  bridge::SwitchState out;
  out.provider = state.provider();
  out.position = static_cast<bridge::SwitchPosition>(state.position());
  out.by = state.provenance().by();
  out.reason = state.provenance().reason();
  out.since = config::FromProto(state.provenance().since());
  if (state.provenance().has_until()) out.until = config::FromProto(state.provenance().until());
  return out;
}

}  // namespace

absl::StatusOr<bridge::SwitchState> ToSwitch(const v1::SetPolicySwitchRequest& request,
                                             std::string caller, absl::Time now) {
  bridge::SwitchState out;
  if (request.position() == v1::POLICY_SWITCH_UNSPECIFIED) {
    return absl::InvalidArgumentError("position: must be set");
  }
  out.provider = request.provider();
  out.position = static_cast<bridge::SwitchPosition>(request.position());
  const bool on = out.position == bridge::SwitchPosition::kOn;
  if (request.reason().size() > kMaxControlReasonBytes || (request.reason().empty() && !on)) {
    return absl::InvalidArgumentError("reason: must have 1 to 256 bytes");
  }
  out.by = std::move(caller);
  out.reason = request.reason();
  out.since = now;
  if (request.has_duration()) {
    const absl::StatusOr<absl::Duration> duration =
        PositiveDuration(request.duration(), "duration", kLongest);
    if (!duration.ok()) return duration.status();
    if (on || *duration < absl::Seconds(1)) {
      return absl::InvalidArgumentError("duration: must be 1s to 30d, and not with ON");
    }
    out.until = now + *duration;
  }
  return out;
}

void ToProto(const bridge::SwitchState& state, v1::PolicySwitchState* out) {
  out->set_provider(state.provider);
  out->set_position(static_cast<v1::PolicySwitch>(state.position));
  out->mutable_provenance()->set_by(Utf8(state.by));
  out->mutable_provenance()->set_reason(Utf8(state.reason));
  *out->mutable_provenance()->mutable_since() = ToProto(state.since);
  if (state.until != absl::InfiniteFuture()) {
    *out->mutable_provenance()->mutable_until() = ToProto(state.until);
  }
  out->set_by_file(state.by_file);
}

absl::Status KeepSwitchesIn(const std::string& directory, bridge::PolicySwitch& policy_switch) {
  const std::string path = absl::StrCat(directory, "/switches.json");
  v1::SwitchesState kept;
  const absl::StatusOr<bool> found = config::ReadState(path, &kept);
  if (!found.ok()) return found.status();
  std::vector<bridge::SwitchState> switches;
  for (const v1::PolicySwitchState& state : kept.switches()) switches.push_back(FromProto(state));
  policy_switch.Restore(std::move(switches), [path](const auto& states) {
    v1::SwitchesState keep;
    for (const bridge::SwitchState& state : states) ToProto(state, keep.add_switches());
    return config::WriteState(path, keep);
  });
  return absl::OkStatus();
}

}  // namespace postern::rpc

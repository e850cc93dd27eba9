#include "server/bridge/policy_switch.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/bridge/provider.h"

namespace postern::bridge {
namespace {

const char* Whom(const std::string& provider) {
  return provider.empty() ? "all remote clients" : provider.c_str();
}

}  // namespace

absl::string_view Name(SwitchPosition position) {
  switch (position) {
    case SwitchPosition::kOn:
      return "on";
    case SwitchPosition::kOff:
      return "off";
    case SwitchPosition::kForceKeep:
      return "force_keep";
  }
  return "?";
}

SwitchPosition PolicySwitch::For(absl::string_view provider) const {
  if (!any_.load(std::memory_order_acquire)) return SwitchPosition::kOn;
  const absl::Time now = clock_.Now();
  base::MutexLock lock(mu_);
  SwitchPosition strictest = file_.position;
  for (const SwitchState& state : switches_) {
    const bool concerns = state.provider.empty() || state.provider == provider;
    if (concerns && state.until > now) strictest = std::max(strictest, state.position);
  }
  return strictest;
}

absl::Status PolicySwitch::Set(SwitchState state) {
  if (!state.provider.empty() && !ValidProviderName(state.provider)) {
    return absl::InvalidArgumentError("provider: must be 1 to 64 of [a-z0-9._-]");
  }
  base::MutexLock one_at_a_time(set_mu_);
  const absl::Time now = clock_.Now();
  std::vector<SwitchState> next;
  {
    base::MutexLock lock(mu_);
    next = switches_;
  }
  std::erase_if(next, [&](const SwitchState& old) {
    return old.provider == state.provider || old.until <= now;
  });
  if (state.position != SwitchPosition::kOn) {
    if (next.size() >= kMostSwitches) {
      return absl::ResourceExhaustedError(
          absl::StrCat("provider: ", kMostSwitches, " providers are switched already"));
    }
    next.push_back(state);
  }
  if (save_) {
    if (absl::Status status = save_(next); !status.ok()) return status;
  }
  base::Log().warn("policy switch: {} {} by {}{}{}", Whom(state.provider), Name(state.position),
                   absl::Utf8SafeCEscape(state.by), state.reason.empty() ? "" : ": ",
                   absl::Utf8SafeCEscape(state.reason));
  base::MutexLock lock(mu_);
  switches_ = std::move(next);
  any_.store(!switches_.empty() || file_.by_file, std::memory_order_release);
  return absl::OkStatus();
}

void PolicySwitch::Restore(std::vector<SwitchState> switches, Save save) {
  base::MutexLock one_at_a_time(set_mu_);
  save_ = std::move(save);
  const absl::Time now = clock_.Now();
  std::erase_if(switches, [now](const SwitchState& state) { return state.until <= now; });
  for (const SwitchState& state : switches) {
    base::Log().warn("policy switch: {} {} since {} by {}: {}", Whom(state.provider),
                     Name(state.position), absl::FormatTime(state.since),
                     absl::Utf8SafeCEscape(state.by), absl::Utf8SafeCEscape(state.reason));
  }
  base::MutexLock lock(mu_);
  switches_ = std::move(switches);
  any_.store(!switches_.empty() || file_.by_file, std::memory_order_release);
}

void PolicySwitch::SetFile(const std::string& path) {
  base::MutexLock lock(mu_);
  if (file_.by_file == !path.empty()) return;
  file_ = SwitchState();
  if (!path.empty()) {
    file_.position = SwitchPosition::kOff;
    file_.by_file = true;
    file_.by = path;
    file_.reason = "the switch file exists";
    file_.since = clock_.Now();
    base::Log().warn("policy switch: {} exists: {} off", path, Whom(""));
  } else {
    base::Log().warn("policy switch: the switch file is gone");
  }
  any_.store(!switches_.empty() || file_.by_file, std::memory_order_release);
}

std::vector<SwitchState> PolicySwitch::List() const {
  const absl::Time now = clock_.Now();
  std::vector<SwitchState> list;
  base::MutexLock lock(mu_);
  if (file_.by_file) list.push_back(file_);
  for (const SwitchState& state : switches_) {
    if (state.until > now) list.push_back(state);
  }
  return list;
}

}  // namespace postern::bridge

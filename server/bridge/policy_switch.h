// PolicySwitch: the kill switch for remote clients: one for each provider name, one for all, and
// one that a file throws. The strictest of those that concern a provider holds.
//
// Thread: any. Never blocks but in Set, which calls `save` (a file is synced).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace postern::bridge {

// The values of the enum PolicySwitch in types.proto; a higher one is stricter.
enum class SwitchPosition : std::uint8_t { kOn = 1, kOff = 2, kForceKeep = 3 };

absl::string_view Name(SwitchPosition position);

struct SwitchState {
  std::string provider;  // empty: all
  SwitchPosition position = SwitchPosition::kOn;
  std::string by, reason;
  absl::Time since;                           // wall clock, as `until`
  absl::Time until = absl::InfiniteFuture();  // infinite: until changed
  bool by_file = false;
};

class PolicySwitch {
 public:
  // Keeps all switches that are not ON over a restart. Called for each change before it holds.
  using Save = std::function<absl::Status(const std::vector<SwitchState>& switches)>;

  explicit PolicySwitch(const base::Clock& clock) : clock_(clock) {}

  // What holds for a provider now.
  SwitchPosition For(absl::string_view provider) const;

  // Throws a switch. INVALID_ARGUMENT: no name of a provider. RESOURCE_EXHAUSTED: too many are not
  // ON. What `save` says: nothing is changed.
  absl::Status Set(SwitchState state);

  // What an earlier process saved; from now on `save` is told. Before the first Set.
  void Restore(std::vector<SwitchState> switches, Save save);

  // The switch file exists (its path) or not (empty): OFF for all while it does.
  void SetFile(const std::string& path);

  // Those that are not ON now.
  std::vector<SwitchState> List() const;

 private:
  static constexpr std::size_t kMostSwitches = 256;

  const base::Clock& clock_;
  std::atomic<bool> any_{false};  // none is thrown while false: the common case takes no lock
  base::Mutex set_mu_;            // before mu_; one change at a time
  Save save_ ABSL_GUARDED_BY(set_mu_);
  mutable base::Mutex mu_;
  std::vector<SwitchState> switches_ ABSL_GUARDED_BY(mu_);  // not ON; may have run out
  SwitchState file_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::bridge

// Provider: one name under which remote clients attach: its counts, its breaker and its guards.
// ProviderTable: all of them; a name is remembered until its place is needed for another one.
//
// Invariant: questions = answered + sum of defaults + cancelled + open.
// Thread: any.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/metrics.h"
#include "server/base/mutex.h"
#include "server/bridge/breaker.h"
#include "server/bridge/bridge.h"

namespace postern::bridge {

// Of the streams of a provider, for labels: [shadow].
inline constexpr const char* kModeNames[] = {"enforce", "shadow"};

// 1 to 64 of [a-z0-9._-].
bool ValidProviderName(absl::string_view name);

class Provider {
 public:
  // `registry` null: what is counted is seen in Status() only.
  Provider(std::string name, const PolicyOptions& options, base::Registry* registry);
  // What it shows in the registry reads as that of a name that nobody uses.
  ~Provider();
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;

  const std::string& name() const { return name_; }

  // ---- counts: each question is counted once, and once more when it is over ----
  void CountQuestion() { questions_->Add(); }
  void CountAnswer(Decision decision) { verdicts_[static_cast<std::size_t>(decision)]->Add(); }
  void CountDefault(DefaultCause cause) { defaults_[static_cast<std::size_t>(cause)]->Add(); }
  void CountCancelled() { cancelled_->Add(); }
  // These by the mode of the stream, for clients in shadow mode are told and answer, too.
  void CountResult(VerdictStatus status, bool shadow) {
    results_[shadow ? 1 : 0][static_cast<std::size_t>(status)]->Add();
  }
  void CountEvent(std::uint64_t dropped, bool shadow);
  void CountShadow(ShadowOutcome outcome) { shadow_[static_cast<std::size_t>(outcome)]->Add(); }

  // Takes a place among the open questions; false: there are max_open_questions already.
  bool TakePlace();
  void FreePlace() { open_.fetch_sub(1, std::memory_order_relaxed); }

  // ---- breaker ----
  bool AllowedByBreaker(absl::Time now);
  void OnAnswer(absl::Time now, absl::Duration latency);
  // Of a client in shadow mode: it is timed, and says nothing about those that are waited for.
  void OnShadowAnswer(absl::Duration latency) { latency_[1]->Observe(latency); }
  void OnFailure(absl::Time now);
  void OnDropped(absl::Time now);

  // ---- guards ----
  // The provider was waited for (or would have been).
  void OnWaited(absl::Time now, absl::Duration waited, absl::Duration session_time);
  // SYNC is treated as ASYNC while it takes too much of the sessions' time.
  bool ForcedAsync(absl::Time now);
  // It says SHUTDOWN to a connection for the first time.
  void OnShutdown(absl::Time now, std::uint64_t deliveries);
  // Its SHUTDOWNs do not count.
  bool Suppressed(absl::Time now);

  // ---- what was attached last ----
  void SetAttached(const Attached& attached, std::optional<DefaultVerdict> asked_default);
  // What the last Attach asked for that was not in shadow mode.
  std::optional<DefaultVerdict> asked_default() const;

  // What it is now, when `enforcing` and `shadowing` streams are attached; `streams` is left empty.
  ProviderStatus Status(absl::Time now, bool enforcing, bool shadowing) const;

 private:
  // What the counters read now, as far as Status() shows them.
  ProviderStatus Counts() const;
  void AddCounts(base::Registry& registry);
  void AddCountsOf(std::size_t shadow, base::Registry& registry);
  void ShowBreaker(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string name_;
  const std::uint64_t max_open_;
  const std::unique_ptr<base::Registry> own_registry_;  // null: the one that it was given
  base::Counter* questions_ = nullptr;
  base::Counter* cancelled_ = nullptr;
  std::array<base::Counter*, 2> events_{};                                    // [shadow]
  std::array<base::Counter*, 2> events_dropped_{};                            // [shadow]
  std::array<base::Counter*, 4> verdicts_{};                                  // [decision]
  std::array<base::Counter*, kDefaultCauseCount> defaults_{};                 // [cause]
  std::array<std::array<base::Counter*, kVerdictStatusCount>, 2> results_{};  // [shadow][status]
  std::array<base::Counter*, kShadowOutcomeCount> shadow_{};                  // [outcome]
  std::array<base::Histogram*, 2> latency_{};                                 // [shadow]
  base::Gauge* breaker_state_ = nullptr;
  base::Gauge* forced_async_gauge_ = nullptr;
  base::Gauge* suppressed_gauge_ = nullptr;
  std::atomic<std::uint64_t> open_{0};
  // The registry's counters never go back: what they read when the name came, maybe again.
  ProviderStatus before_;

  mutable base::Mutex mu_;
  Breaker breaker_ ABSL_GUARDED_BY(mu_);
  WaitShare wait_share_ ABSL_GUARDED_BY(mu_);
  ChurnGuard churn_ ABSL_GUARDED_BY(mu_);
  bool forced_async_ ABSL_GUARDED_BY(mu_) = false;
  bool suppressed_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration answer_time_ ABSL_GUARDED_BY(mu_);
  absl::Duration slowest_answer_ ABSL_GUARDED_BY(mu_);
  std::array<Attached, 2> attached_ ABSL_GUARDED_BY(mu_);  // [shadow]
  bool last_was_shadow_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<DefaultVerdict> asked_default_ ABSL_GUARDED_BY(mu_);
};

// Whoever refers to a provider (a stream, a rule for a scope, a connection that it was asked about)
// holds it by one of these: so the table knows which names nobody needs any more.
using ProviderPtr = std::shared_ptr<Provider>;

class ProviderTable {
 public:
  // All references must outlive the table.
  ProviderTable(const PolicyOptions& options, base::Registry& registry);

  // The provider of a name; null: there is none.
  ProviderPtr Find(const std::string& name) const;
  // The same, made now if it is new. When there are max_providers names without a rule in the
  // configuration already, the one used longest ago that nobody refers to makes place;
  // RESOURCE_EXHAUSTED: there is none.
  absl::StatusOr<ProviderPtr> Get(const std::string& name);
  // In order of name.
  std::vector<ProviderPtr> All() const;
  // Those that the configuration has a rule for, which always get a place: while nobody is attached
  // under such a name, its default stands in.
  std::vector<ProviderPtr> expected() const;
  void SetExpected(const std::vector<ProviderRule>& rules);

 private:
  struct Entry {
    ProviderPtr provider;
    std::uint64_t used = 0;  // the value of uses_ when it was got last
  };

  ProviderPtr GetLocked(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MakePlace() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const PolicyOptions& options_;
  base::Registry& registry_;
  mutable base::Mutex mu_;
  std::vector<ProviderPtr> expected_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Entry> providers_ ABSL_GUARDED_BY(mu_);
  std::uint64_t uses_ ABSL_GUARDED_BY(mu_) = 0;
  // Names that the registry has, which never forgets: max_providers, and those with a rule.
  std::set<std::string> registered_ ABSL_GUARDED_BY(mu_);
  bool warned_ ABSL_GUARDED_BY(mu_) = false;  // that there are others
};

}  // namespace postern::bridge

// PolicyOptions: what the configuration says about remote policy (config.proto, `policy`).
// DefaultTable: the one place that says what stands in for a missing answer, and for how long one
// is waited for.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/bridge/event.h"
#include "server/bridge/filter.h"

namespace postern::bridge {

enum class DefaultVerdict : std::uint8_t { kKeep = 1, kShutdown = 2 };

// One level of the precedence: a verdict for some causes, and one for all others.
struct DefaultRule {
  std::optional<DefaultVerdict> verdict;
  std::array<std::optional<DefaultVerdict>, kDefaultCauseCount> by_cause;  // [cause]

  std::optional<DefaultVerdict> For(DefaultCause cause) const;
};

struct DomainRule {
  std::string domain;  // glob as in Filter
  DefaultRule rule;
};

// Names a provider that is expected: while no stream of it is attached, its default stands in with
// cause `no_subscriber`.
struct ProviderRule {
  std::string name;
  DefaultRule rule;
  absl::Duration max_timeout = absl::InfiniteDuration();
};

struct PolicyOptions {
  absl::Duration timeout = absl::Milliseconds(100);  // clamped to 1 ms .. 5 s by DefaultTable
  DefaultRule defaults;                              // global; built in: KEEP
  std::vector<DomainRule> domains;
  std::vector<ProviderRule> providers;

  double max_wait_share = 0.1;  // of session time over 10 s; 1 or more: never
  std::size_t max_streams = 256;
  std::size_t max_streams_per_provider = 32;
  std::size_t max_providers = 256;        // names in use beside those of `providers`
  std::size_t max_open_questions = 1024;  // per provider
  std::size_t ring_events = 65536;
  absl::Duration ring_age = absl::Minutes(5);
  std::size_t buffer_events = 8192;  // per subscription
  std::size_t buffer_bytes = std::size_t{4} << 20;
  std::uint64_t config_generation = 0;  // that these rules come from
  bool bridge_first = false;            // its place in the native chains
};

// Thread: any.
class DefaultTable {
 public:
  explicit DefaultTable(const PolicyOptions& options) { Replace(options); }

  // Other rules from the next question on. Of `options` only timeout, defaults, domains, providers.
  void Replace(const PolicyOptions& options);

  // Precedence: the server's rule for the domain (the most specific that matches and has a word for
  // the cause), then for the provider, then what Attach asked for, then global, then KEEP.
  DefaultVerdict For(absl::string_view domain, absl::string_view provider,
                     std::optional<DefaultVerdict> attached, DefaultCause cause) const;

  // The same where no domain's rule says otherwise, whatever the cause.
  DefaultVerdict ForAnyDomain(absl::string_view provider,
                              std::optional<DefaultVerdict> attached) const;

  // How long a provider is waited for that asked for `asked` (0: as long as it may): 1 ms to
  // policy.timeout and to the max_timeout of its rule.
  absl::Duration TimeoutFor(absl::string_view provider, absl::Duration asked) const;

 private:
  struct Rules {
    absl::Duration timeout;
    std::vector<DomainRule> domains;
    std::vector<ProviderRule> providers;
    DefaultRule global;

    const ProviderRule* Find(absl::string_view provider) const;
  };
  std::shared_ptr<const Rules> rules() const;

  mutable base::Mutex mu_;
  std::shared_ptr<const Rules> rules_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::bridge

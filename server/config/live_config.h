// LiveConfig: which configuration is in force, and how another one comes into force.
//
// There are two: that of the configuration file, and one that was applied by a call. The applied
// one wins until the file says something else than when it was applied (seen at Reload and at a
// start), until its time is over, or until the file is put in force by a call. Every change raises
// the generation, which is kept over restarts, and is written beside the spool before it holds.
//
//   auto live = LiveConfig::Open([] { return config::Load(path); }, clock);
//   ... build everything from (*live)->in_force().config; the spool's directory exists now ...
//   (*live)->SetSink(check, [&](const v1::Config& config, std::uint64_t generation) { ... });
//   (*live)->Keep();
//
// Thread: any. A change (Apply, Reload, Expire) calls the sink before it returns; one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "postern/v1/config.pb.h"
#include "postern/v1/state.pb.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/config/config.h"

namespace postern::config {

class LiveConfig {
 public:
  using Loader = std::function<absl::StatusOr<LoadedConfig>()>;
  using FurtherCheck = std::function<absl::Status(const postern::v1::Config& config)>;
  using Sink = std::function<void(const postern::v1::Config& config, std::uint64_t generation)>;

  struct InForce {
    std::shared_ptr<const postern::v1::Config> config;
    std::uint64_t generation = 0;
    std::string file;
    std::optional<postern::v1::Provenance> applied;  // nullopt: it is the file's
    std::vector<std::string> needs_restart;          // the process runs with older values of these
  };

  struct File {};  // read the configuration file again
  struct ApplyRequest {
    std::variant<std::monostate, postern::v1::Config, std::string, File> what;  // string: YAML
    bool validate_only = false;
    std::uint64_t if_generation = 0;  // 0: any
    std::string by, reason;
    absl::Duration duration = absl::InfiniteDuration();
  };
  struct Outcome {
    std::uint64_t generation = 0;  // in force now
    std::vector<Problem> errors;   // not empty: nothing changed
    std::vector<std::string> needs_restart;
  };

  // Reads the file and the state beside its spool. INVALID_ARGUMENT: what Load says.
  // FAILED_PRECONDITION naming the state's file: it is damaged, or what was applied is no valid
  // configuration for this release.
  static absl::StatusOr<std::unique_ptr<LiveConfig>> Open(Loader load, const base::Clock& clock);

  // Who is told of each change from now on, and who is asked before (files that cannot be read; the
  // status's message has a line for each error). Without a sink nothing can be changed.
  void SetSink(FurtherCheck check, Sink sink);
  // Writes down what Open decided, once the spool's directory is there. UNAVAILABLE.
  absl::Status Keep();

  InForce in_force() const;
  // Of the spool that the file names: where this and other state is kept.
  const std::string& state_directory() const { return state_directory_; }

  // ABORTED: if_generation. INVALID_ARGUMENT: nothing to apply, or the file cannot be read at all.
  // UNAVAILABLE: the state cannot be written, or the process starts or ends. Everything else is an
  // outcome. Reads and syncs files.
  absl::StatusOr<Outcome> Apply(ApplyRequest request);

  // The file may have changed (SIGHUP): puts it in force if it has. What happened is in the log;
  // a bad file changes nothing and is logged line by line.
  void Reload();

  // When Expire() has something to do; infinite: never.
  absl::Time expires() const;
  // Ends an applied configuration whose time is over. On failure it stays and the log says so.
  void Expire();

 private:
  struct State {
    std::shared_ptr<const postern::v1::Config> file, applied;  // applied: null when none is
    postern::v1::Provenance provenance;
    std::uint64_t generation = 1;
    const std::shared_ptr<const postern::v1::Config>& config() const {
      return applied != nullptr ? applied : file;
    }
  };

  LiveConfig(Loader load, const base::Clock& clock, LoadedConfig loaded);

  // Recovers what was written by Keep or by a change.
  absl::Status Restore();
  absl::Status Write(const State& state) const;
  // Writes `next`, puts it in force with the next generation and tells the sink.
  absl::Status Change(State next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  // Load, and what else is wrong with what the file says.
  absl::StatusOr<LoadedConfig> LoadAndCheck() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  absl::StatusOr<Outcome> ApplyFile(const ApplyRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  State state() const;

  const Loader load_;
  const base::Clock& clock_;
  const std::string file_;  // its name
  const std::string state_directory_;
  const std::string state_path_;
  std::shared_ptr<const postern::v1::Config> running_;  // what the process was built from

  base::Mutex change_mu_;  // before mu_
  FurtherCheck check_ ABSL_GUARDED_BY(change_mu_);
  Sink sink_ ABSL_GUARDED_BY(change_mu_);
  mutable base::Mutex mu_;
  State state_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::config

#include "server/config/live_config.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/base/log.h"
#include "server/config/restart.h"
#include "server/config/state_file.h"
#include "server/config/values.h"

namespace postern::config {
namespace {

namespace v1 = postern::v1;
using google::protobuf::util::MessageDifferencer;

std::shared_ptr<const v1::Config> Share(v1::Config config) {
  return std::make_shared<const v1::Config>(std::move(config));
}

void LogLines(const absl::Status& status) {
  for (absl::string_view line : absl::StrSplit(std::string(status.message()), '\n')) {
    base::Log().error("config: {}", line);
  }
}

// For the log: words of strangers must not begin lines.
std::string Who(const v1::Provenance& provenance) {
  return absl::StrCat(
      provenance.by().empty() ? "an unnamed client" : absl::Utf8SafeCEscape(provenance.by()),
      provenance.reason().empty() ? "" : ": ", absl::Utf8SafeCEscape(provenance.reason()));
}

// What a FurtherCheck says, which knows no line.
std::vector<Problem> Unusable(const absl::Status& status) {
  std::vector<Problem> problems;
  for (absl::string_view line : absl::StrSplit(std::string(status.message()), '\n')) {
    problems.push_back({0, "", std::string(line)});
  }
  return problems;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LiveConfig>> LiveConfig::Open(Loader load,
                                                             const base::Clock& clock) {
  absl::StatusOr<LoadedConfig> loaded = load();
  if (!loaded.ok()) return loaded.status();
  std::unique_ptr<LiveConfig> live(new LiveConfig(std::move(load), clock, *std::move(loaded)));
  if (absl::Status status = live->Restore(); !status.ok()) return status;
  return live;
}

LiveConfig::LiveConfig(Loader load, const base::Clock& clock, LoadedConfig loaded)
    : load_(std::move(load)),
      clock_(clock),
      file_(loaded.source),
      state_directory_(StateDirectory(loaded.config.server().spool_directory())),
      state_path_(absl::StrCat(state_directory_, "/config.json")) {
  state_.file = running_ = Share(std::move(loaded.config));
}

absl::Status LiveConfig::Restore() {
  v1::ConfigState kept;
  const absl::StatusOr<bool> found = ReadState(state_path_, &kept);
  if (!found.ok()) return found.status();
  if (!*found) return absl::OkStatus();
  base::MutexLock lock(mu_);
  state_.generation = kept.generation();
  if (!MessageDifferencer::Equals(kept.file(), *state_.file)) {
    ++state_.generation;
    if (kept.has_applied()) {
      base::Log().warn("config: {} has changed: what was applied by {} ends", file_,
                       Who(kept.provenance()));
    }
    return absl::OkStatus();
  }
  if (!kept.has_applied()) return absl::OkStatus();
  if (kept.provenance().has_until() && FromProto(kept.provenance().until()) <= clock_.Now()) {
    ++state_.generation;
    base::Log().info("config: the time of what was applied by {} is over", Who(kept.provenance()));
    return absl::OkStatus();
  }
  if (const absl::Status status = Check(kept.applied()); !status.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(state_path_, ": what was applied by ", Who(kept.provenance()),
                     " is no valid configuration; the service starts with ", file_,
                     " once this file is moved away\n", std::string(status.message())));
  }
  state_.applied = running_ = Share(kept.applied());
  state_.provenance = kept.provenance();
  base::Log().warn("config: in force is what was applied by {}, not {}", Who(kept.provenance()),
                   file_);
  return absl::OkStatus();
}

void LiveConfig::SetSink(FurtherCheck check, Sink sink) {
  base::MutexLock lock(change_mu_);
  check_ = std::move(check);
  sink_ = std::move(sink);
}

LiveConfig::State LiveConfig::state() const {
  base::MutexLock lock(mu_);
  return state_;
}

absl::Status LiveConfig::Keep() {
  base::MutexLock one_at_a_time(change_mu_);
  return Write(state());
}

absl::Status LiveConfig::Write(const State& state) const {
  v1::ConfigState kept;
  kept.set_generation(state.generation);
  *kept.mutable_file() = *state.file;
  if (state.applied != nullptr) {
    *kept.mutable_applied() = *state.applied;
    *kept.mutable_provenance() = state.provenance;
  }
  return WriteState(state_path_, kept);
}

absl::Status LiveConfig::Change(State next) {
  if (!sink_) return absl::UnavailableError("the service starts or ends");
  ++next.generation;
  if (absl::Status status = Write(next); !status.ok()) return status;
  sink_(*next.config(), next.generation);
  {  // last: who reads the generation may rely on it
    base::MutexLock lock(mu_);
    state_ = next;
  }
  base::Log().info("config: generation {} is in force, {}", next.generation,
                   next.applied != nullptr ? absl::StrCat("applied by ", Who(next.provenance))
                                           : absl::StrCat("from ", file_));
  const std::vector<std::string> restart = RestartPaths(*running_, *next.config());
  if (!restart.empty()) {
    base::Log().warn("config: takes a restart: {}", absl::StrJoin(restart, ", "));
  }
  return absl::OkStatus();
}

LiveConfig::InForce LiveConfig::in_force() const {
  const State now = state();
  InForce in_force;
  in_force.config = now.config();
  in_force.generation = now.generation;
  in_force.file = file_;
  if (now.applied != nullptr) in_force.applied = now.provenance;
  in_force.needs_restart = RestartPaths(*running_, *now.config());
  return in_force;
}

absl::StatusOr<LiveConfig::Outcome> LiveConfig::Apply(ApplyRequest request) {
  base::MutexLock one_at_a_time(change_mu_);
  State next = state();
  if (request.if_generation != 0 && request.if_generation != next.generation) {
    return absl::AbortedError(absl::StrCat("if_generation: in force is generation ",
                                           next.generation, ", not ", request.if_generation));
  }
  if (std::holds_alternative<File>(request.what)) return ApplyFile(request);
  Outcome outcome;
  outcome.generation = next.generation;
  v1::Config config;
  if (auto* given = std::get_if<v1::Config>(&request.what)) {
    config = std::move(*given);
    outcome.errors = FindProblems(config);
  } else if (const auto* yaml = std::get_if<std::string>(&request.what)) {
    outcome.errors = ReadText(*yaml, &config);
  } else {
    return absl::InvalidArgumentError("what: one of config, yaml and file must be set");
  }
  if (outcome.errors.empty() && check_) {
    if (const absl::Status status = check_(config); !status.ok()) {
      outcome.errors = Unusable(status);
    }
  }
  if (!outcome.errors.empty()) return outcome;
  outcome.needs_restart = RestartPaths(*running_, config);
  if (request.validate_only) return outcome;
  next.applied = Share(std::move(config));
  next.provenance.Clear();
  next.provenance.set_by(request.by);
  next.provenance.set_reason(request.reason);
  *next.provenance.mutable_since() = ToProto(clock_.Now());
  if (request.duration != absl::InfiniteDuration()) {
    *next.provenance.mutable_until() = ToProto(clock_.Now() + request.duration);
  }
  if (absl::Status status = Change(std::move(next)); !status.ok()) return status;
  outcome.generation = state().generation;
  return outcome;
}

absl::StatusOr<LoadedConfig> LiveConfig::LoadAndCheck() {
  absl::StatusOr<LoadedConfig> loaded = load_();
  if (!loaded.ok() || !check_) return loaded;
  if (absl::Status status = check_(loaded->config); !status.ok()) {
    return WithProblems(status, Unusable(status));
  }
  return loaded;
}

absl::StatusOr<LiveConfig::Outcome> LiveConfig::ApplyFile(const ApplyRequest& request) {
  State next = state();
  Outcome outcome;
  outcome.generation = next.generation;
  absl::StatusOr<LoadedConfig> loaded = LoadAndCheck();
  if (!loaded.ok()) {
    // One by one, not in the status: it travels in a header, which has no room for all.
    outcome.errors = ProblemsOf(loaded.status());
    if (outcome.errors.empty()) return loaded.status();
    return outcome;
  }
  outcome.needs_restart = RestartPaths(*running_, loaded->config);
  if (request.validate_only) return outcome;
  next.file = Share(std::move(loaded->config));
  next.applied = nullptr;
  next.provenance.Clear();
  if (absl::Status status = Change(std::move(next)); !status.ok()) return status;
  outcome.generation = state().generation;
  return outcome;
}

void LiveConfig::Reload() {
  base::MutexLock one_at_a_time(change_mu_);
  absl::StatusOr<LoadedConfig> loaded = LoadAndCheck();
  if (!loaded.ok()) {
    base::Log().error("config: {} is not put in force, generation {} stays:", file_,
                      state().generation);
    return LogLines(loaded.status());
  }
  State next = state();
  if (MessageDifferencer::Equals(loaded->config, *next.file)) {
    base::Log().info(
        "config: {} says what it said before: generation {} stays{}", file_, next.generation,
        next.applied == nullptr ? "" : absl::StrCat(", applied by ", Who(next.provenance)));
    return;
  }
  if (next.applied != nullptr) {
    base::Log().warn("config: {} has changed: what was applied by {} ends", file_,
                     Who(next.provenance));
  }
  next.file = Share(std::move(loaded->config));
  next.applied = nullptr;
  next.provenance.Clear();
  if (const absl::Status status = Change(std::move(next)); !status.ok()) LogLines(status);
}

absl::Time LiveConfig::expires() const {
  base::MutexLock lock(mu_);
  return state_.applied != nullptr && state_.provenance.has_until()
             ? FromProto(state_.provenance.until())
             : absl::InfiniteFuture();
}

void LiveConfig::Expire() {
  base::MutexLock one_at_a_time(change_mu_);
  if (expires() > clock_.Now()) return;
  State next = state();
  base::Log().info("config: the time of what was applied by {} is over", Who(next.provenance));
  next.applied = nullptr;
  next.provenance.Clear();
  if (const absl::Status status = Change(std::move(next)); !status.ok()) LogLines(status);
}

}  // namespace postern::config

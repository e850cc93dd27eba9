#include "client/verdict.h"

#include <chrono>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "postern/v1/hooks.grpc.pb.h"

namespace postern::client {
namespace {

int RunVerdict(const Globals& globals, const VerdictOptions& options) {
  UnblockStopSignals();
  const auto stub = v1::Hooks::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  v1::PostVerdictsResponse answer;
  const grpc::Status status = stub->PostVerdicts(
      &context, BuildPostVerdicts(options, static_cast<std::uint64_t>(now.count())), &answer);
  if (!status.ok()) return Report(status);
  bool taken = true;
  for (const v1::VerdictResult& result : answer.results()) {
    taken = taken && (result.status() == v1::VERDICT_STATUS_APPLIED ||
                      result.status() == v1::VERDICT_STATUS_STORED);
    std::cout << (globals.json ? ToJson(result) : FormatVerdictResult(result)) << "\n";
  }
  std::cout << std::flush;
  return taken ? kOk : kFailed;
}

// What verdicts for scopes and connections share: how it is given, and when it holds (returned).
std::vector<CLI::Option*> AddCommon(CLI::App& command, VerdictOptions& options) {
  CLI::Option* deliveries = command
                                .add_option("--after-deliveries", options.after_deliveries,
                                            "End each when it has so many deliveries")
                                ->check(CLI::Range(1U, 1'000'000'000U));
  CLI::Option* age =
      command.add_option("--after-age", options.after_age, "End each when it is so old (90s, 10m)")
          ->check(CheckDuration);
  CLI::Option* withdraw =
      command.add_flag("--withdraw", options.withdraw, "Take back what was given");
  command.add_option("--name", options.name, "Provider name in whose name it is given")
      ->capture_default_str();
  command.add_option("--reason", options.reason, "Kept with the close of each session");
  withdraw->excludes(AddThenOptions(command, options.then));
  return {deliveries, age, withdraw};
}

// Throws unless exactly one of them was given, or none where `needed` is false.
void CheckOne(const std::vector<CLI::Option*>& options, bool needed) {
  std::string names;
  std::size_t given = 0;
  for (const CLI::Option* option : options) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", option->get_name());
    if (option->count() > 0) ++given;
  }
  if (given > 1) throw CLI::ValidationError(names, "exclude each other");
  if (given == 0 && needed) throw CLI::RequiredError("one of " + names);
}

void AddScopeVerdict(CLI::App& group, Invocation& invocation) {
  const auto options = std::make_shared<VerdictOptions>();
  CLI::App* scope = group.add_subcommand("scope", "A rule for the connections of a scope");
  AddScope(*scope, options->scope, true);
  std::vector<CLI::Option*> rules = {
      scope->add_flag("--recycle", options->recycle, "End those that are open now, once")};
  for (CLI::Option* rule : AddCommon(*scope, *options)) rules.push_back(rule);
  scope->add_option("--ttl", options->ttl, "How long it holds; default 60s, at most 1h")
      ->check(CheckDuration);
  scope->add_option("--revision", options->revision,
                    "Takes the place of lower ones only; default the time in ms: the latest wins");
  scope->footer(
      "Of several rules the most specific one holds: the domain first, then the binding.\n"
      "Examples:\n"
      "  postern verdict scope '*.example.net' --recycle --reason 'new addresses'\n"
      "  postern verdict scope example.net --after-deliveries 20 --ttl 30m\n"
      "  postern verdict scope example.net --after-age 5m --then hold --for 1m\n"
      "  postern verdict scope example.net --withdraw");
  scope->callback([&invocation, options, rules] {
    CheckOne(rules, true);
    invocation.run = [options](const Globals& globals) { return RunVerdict(globals, *options); };
  });
}

void AddConnectionVerdict(CLI::App& group, Invocation& invocation) {
  const auto options = std::make_shared<VerdictOptions>();
  CLI::App* one = group.add_subcommand("connection", "For one connection, as long as it is open");
  one->add_option("id", options->connection, "Connection id, as `postern connections` prints it")
      ->required();
  std::vector<CLI::Option*> rules = {
      one->add_flag("--keep", options->keep, "Do not end it, and do not ask about it")};
  for (CLI::Option* rule : AddCommon(*one, *options)) rules.push_back(rule);
  rules.front()->excludes(one->get_option("--then"));
  one->footer(
      "Without a rule it ends now; a session in a transaction when that is over.\n"
      "Examples:\n"
      "  postern verdict connection 0f3c5d0a9b8e4c7fa1d2e3f405162738 --reason 'enough'\n"
      "  postern verdict connection 0f3c5d0a9b8e4c7fa1d2e3f405162738 --after-deliveries 50\n"
      "  postern verdict connection 0f3c5d0a9b8e4c7fa1d2e3f405162738 --then avoid-host --for 10m");
  one->callback([&invocation, options, rules] {
    CheckOne(rules, false);
    invocation.run = [options](const Globals& globals) { return RunVerdict(globals, *options); };
  });
}

// ConnectionTarget and ScopeTarget have these alike.
template <typename Target>
void SetWhen(const VerdictOptions& options, Target& target) {
  if (options.after_deliveries > 0) target.set_after_deliveries(options.after_deliveries);
  if (!options.after_age.empty()) *target.mutable_after_age() = *ParseDuration(options.after_age);
}

}  // namespace

CLI::Option* AddThenOptions(CLI::App& command, ThenOptions& options) {
  CLI::Option* then =
      command
          .add_option("--then", options.action,
                      "After a session was ended: hold the queue, or leave its host alone")
          ->check(CLI::IsMember({"hold", "avoid-host"}));
  CLI::Option* duration =
      command.add_option("--for", options.duration, "How long --then holds (1m, 30m); at most 1h")
          ->check(CheckDuration)
          ->needs(then);
  return then->needs(duration);
}

void SetThen(const ThenOptions& options, v1::Verdict& verdict) {
  if (options.action.empty()) return;
  verdict.mutable_then()->set_action(options.action == "hold" ? v1::THEN_ACTION_HOLD
                                                              : v1::THEN_ACTION_AVOID_HOST);
  *verdict.mutable_then()->mutable_duration() = *ParseDuration(options.duration);
}

v1::PostVerdictsRequest BuildPostVerdicts(const VerdictOptions& options, std::uint64_t now_ms) {
  v1::PostVerdictsRequest request;
  request.set_provider(options.name);
  v1::Verdict& verdict = *request.add_verdicts();
  verdict.set_verdict_id(1);
  verdict.set_decision(options.withdraw ? v1::DECISION_ABSTAIN
                       : options.keep   ? v1::DECISION_KEEP
                                        : v1::DECISION_SHUTDOWN);
  verdict.set_reason(options.reason);
  SetThen(options.then, verdict);
  if (!options.connection.empty()) {
    verdict.mutable_connection()->set_connection_id(options.connection);
    SetWhen(options, *verdict.mutable_connection());
    return request;
  }
  v1::ScopeTarget& scope = *verdict.mutable_scope();
  scope.set_domain(options.scope.domain);
  scope.set_binding(options.scope.binding);
  if (!options.ttl.empty()) *scope.mutable_ttl() = *ParseDuration(options.ttl);
  scope.set_revision(options.revision > 0 ? options.revision : now_ms);
  if (options.recycle) scope.set_recycle(true);
  SetWhen(options, scope);
  return request;
}

void AddVerdict(CLI::App& app, Invocation& invocation) {
  CLI::App* group =
      app.add_subcommand("verdict", "Give a verdict ahead of any question: scope, connection");
  group->require_subcommand(1);
  group->fallthrough();
  group->footer(
      "Counts as a policy client's, beside those that are attached; nothing needs to be. Exit code "
      "0\n"
      "when it was applied or stored.\n"
      "Examples:\n"
      "  postern verdict scope '*.example.net' --recycle --reason 'new addresses'\n"
      "  postern verdict connection 0f3c5d0a9b8e4c7fa1d2e3f405162738 --reason 'enough'");
  AddScopeVerdict(*group, invocation);
  AddConnectionVerdict(*group, invocation);
}

}  // namespace postern::client

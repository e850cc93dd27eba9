// `postern switch`: the kill switch for policy clients.
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "postern/v1/control.grpc.pb.h"
#include "postern/v1/hooks.grpc.pb.h"

namespace postern::client {
namespace {

struct SwitchOptions {
  std::string provider, reason, duration;
};

int RunSet(const Globals& globals, v1::PolicySwitch position, const SwitchOptions& options) {
  UnblockStopSignals();
  const auto stub = v1::Control::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::SetPolicySwitchRequest request;
  request.set_provider(options.provider);
  request.set_position(position);
  request.set_reason(options.reason);
  if (!options.duration.empty()) *request.mutable_duration() = *ParseDuration(options.duration);
  v1::SetPolicySwitchResponse answer;
  const grpc::Status status = stub->SetPolicySwitch(&context, request, &answer);
  if (status.ok() && globals.json) std::cout << ToJson(answer) << std::endl;
  return Report(status);
}

int RunShow(const Globals& globals) {
  UnblockStopSignals();
  const auto stub = v1::Hooks::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::ListProvidersResponse answer;
  const grpc::Status status = stub->ListProviders(&context, {}, &answer);
  if (!status.ok()) return Report(status);
  std::vector<std::vector<std::string>> table = {
      {"PROVIDER", "POSITION", "SINCE", "UNTIL", "BY", "REASON"}};
  for (const v1::PolicySwitchState& state : answer.switches()) {
    if (globals.json) std::cout << ToJson(state) << "\n";
    table.push_back({state.provider().empty() ? "(all)" : Printable(state.provider()),
                     ShortName(state.position()), FormatTime(state.provenance().since()),
                     FormatTime(state.provenance().until()), Printable(state.provenance().by()),
                     Printable(state.provenance().reason())});
  }
  if (!globals.json) {
    std::cout << (table.size() == 1 ? "on: verdicts of every client count\n" : FormatTable(table));
  }
  std::cout << std::flush;
  return kOk;
}

void AddPosition(CLI::App& group, Invocation& invocation, const char* name, const char* what,
                 const char* example, v1::PolicySwitch position) {
  const auto options = std::make_shared<SwitchOptions>();
  CLI::App* command = group.add_subcommand(name, what);
  command->add_option("--provider", options->provider, "Name of a policy client; default all");
  CLI::Option* reason = command->add_option("--reason", options->reason, "Kept and shown");
  if (position != v1::POLICY_SWITCH_ON) {
    reason->required();
    command->add_option("--for", options->duration, "Then it is on again; default until changed")
        ->check([](const std::string& text) {
          return ParseDuration(text) ? "" : "is not a duration such as 10m";
        });
  }
  command->footer(absl::StrCat("Example:\n  ", example));
  command->callback([&invocation, position, options] {
    invocation.run = [position, options](const Globals& globals) {
      return RunSet(globals, position, *options);
    };
  });
}

}  // namespace

void AddSwitch(CLI::App& app, Invocation& invocation) {
  CLI::App* group =
      app.add_subcommand("switch", "The kill switch for policy clients: on, off, force-keep, show");
  group->require_subcommand(1);
  group->fallthrough();
  group->footer(
      "off: clients are not asked, the configured default decides. force-keep: they are not "
      "asked,\n"
      "no session ends by remote policy. Both survive a restart; events still flow.\n"
      "Examples:\n"
      "  postern switch off --reason 'bad rollout' --for 30m\n"
      "  postern switch force-keep --provider warmup --reason 'closes too much'\n"
      "  postern switch show");
  AddPosition(*group, invocation, "on", "Verdicts count again",
              "postern switch on --provider warmup", v1::POLICY_SWITCH_ON);
  AddPosition(*group, invocation, "off", "Do not ask; the defaults decide",
              "postern switch off --reason 'bad rollout' --for 30m", v1::POLICY_SWITCH_OFF);
  AddPosition(*group, invocation, "force-keep", "Do not ask; keep every session",
              "postern switch force-keep --reason 'closes too much'", v1::POLICY_SWITCH_FORCE_KEEP);
  CLI::App* show = group->add_subcommand("show", "What is switched, by whom, until when");
  show->footer("Example:\n  postern switch show");
  show->callback([&invocation] { invocation.run = RunShow; });
}

}  // namespace postern::client

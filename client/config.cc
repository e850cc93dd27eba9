// `postern config get`, `check`, `apply` and `revert`: the configuration of the running service.
#include <fstream>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "postern/v1/control.grpc.pb.h"

namespace postern::client {
namespace {

std::string Provenance(const v1::Provenance& provenance) {
  std::string out = Printable(provenance.by());
  if (!provenance.reason().empty()) {
    absl::StrAppend(&out, " (", Printable(provenance.reason()), ")");
  }
  absl::StrAppend(&out, " at ", FormatTime(provenance.since()));
  if (provenance.has_until()) absl::StrAppend(&out, " until ", FormatTime(provenance.until()));
  return out;
}

int RunGet(const Globals& globals) {
  UnblockStopSignals();
  const auto stub = v1::Control::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::GetConfigResponse answer;
  const grpc::Status status = stub->GetConfig(&context, {}, &answer);
  if (!status.ok()) return Report(status);
  if (globals.json) {
    std::cout << ToJson(answer) << std::endl;
    return kOk;
  }
  std::cout << "# generation " << answer.generation() << ", "
            << (answer.has_applied() ? absl::StrCat("applied by ", Provenance(answer.applied()))
                                     : absl::StrCat("from ", Printable(answer.file())))
            << "\n";
  for (const std::string& path : answer.needs_restart()) {
    std::cout << "# takes a restart: " << path << "\n";
  }
  std::cout << answer.yaml() << std::flush;
  return kOk;
}

int RunApply(const Globals& globals, const v1::ApplyConfigRequest& request,
             const std::string& file) {
  UnblockStopSignals();
  const auto stub = v1::Control::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::ApplyConfigResponse answer;
  const grpc::Status status = stub->ApplyConfig(&context, request, &answer);
  if (!status.ok()) return Report(status);
  for (const v1::ConfigError& error : answer.errors()) {
    const std::string line = error.line() == 0 ? "" : absl::StrCat(":", error.line());
    std::cerr << Printable(file) << line << ": " << Printable(error.path())
              << (error.path().empty() ? "" : ": ") << Printable(error.message()) << "\n";
  }
  if (globals.json) {
    std::cout << ToJson(answer) << std::endl;
  } else if (answer.errors().empty()) {
    std::cout << (request.validate_only() ? "ok; in force is generation " : "in force: generation ")
              << answer.generation() << "\n";
    for (const std::string& path : answer.needs_restart()) {
      std::cout << "takes a restart: " << path << "\n";
    }
    std::cout << std::flush;
  }
  return answer.errors().empty() ? kOk : kFailed;
}

// The file's text ("-": standard input); false when it cannot be read, which is reported.
bool ReadText(const std::string& file, std::string* text) {
  if (file == "-") {
    text->assign(std::istreambuf_iterator<char>(std::cin), {});
    return true;
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream.is_open()) {
    std::cerr << "postern: " << file << ": cannot be read" << std::endl;
    return false;
  }
  text->assign(std::istreambuf_iterator<char>(stream), {});
  return true;
}

struct ApplyOptions {
  std::string file, reason, duration;
  std::uint64_t if_generation = 0;
};

int RunApplyFile(const Globals& globals, const ApplyOptions& options, bool validate_only) {
  v1::ApplyConfigRequest request;
  if (!ReadText(options.file, request.mutable_yaml())) return kFailed;
  request.set_validate_only(validate_only);
  request.set_if_generation(options.if_generation);
  request.set_reason(options.reason);
  if (!options.duration.empty()) *request.mutable_duration() = *ParseDuration(options.duration);
  return RunApply(globals, request, options.file);
}

int RunRevert(const Globals& globals, const std::string& reason) {
  v1::ApplyConfigRequest request;
  request.set_file(true);
  request.set_reason(reason);
  return RunApply(globals, request, "posternd's own file");
}

void AddApply(CLI::App& group, Invocation& invocation) {
  const auto options = std::make_shared<ApplyOptions>();
  CLI::App* apply = group.add_subcommand("apply", "Put a configuration in force");
  apply->add_option("file", options->file, "YAML; - is standard input")->required();
  apply->add_option("--reason", options->reason, "Kept and shown");
  apply->add_option("--for", options->duration, "Then the file's configuration comes back")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "is not a duration such as 2h";
      });
  apply->add_option("--if-generation", options->if_generation,
                    "Only if this generation is in force (see `config get`)");
  apply->footer(
      "In full: what the file does not set gets its default. It survives a restart and wins over\n"
      "posternd's own file until that changes or `postern config revert`. A bad configuration\n"
      "changes nothing.\n"
      "Example:\n"
      "  postern config get > now.yaml; $EDITOR now.yaml\n"
      "  postern config apply now.yaml --reason 'slow down for the weekend' --for 2d");
  apply->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) {
      return RunApplyFile(globals, *options, false);
    };
  });

  CLI::App* check = group.add_subcommand("check", "Ask the service what is wrong with a file");
  check->add_option("file", options->file, "YAML; - is standard input")->required();
  check->footer(
      "Says every error with its line, and what would take a restart; changes nothing.\n"
      "Example:\n  postern config check /etc/postern/postern.yaml");
  check->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) {
      return RunApplyFile(globals, *options, true);
    };
  });
}

}  // namespace

void AddConfig(CLI::App& app, Invocation& invocation) {
  CLI::App* group =
      app.add_subcommand("config", "The configuration in force: get, check, apply, revert");
  group->require_subcommand(1);
  group->fallthrough();
  group->footer(
      "Examples:\n"
      "  postern config get\n"
      "  postern config check new.yaml && postern config apply new.yaml --reason 'more threads'\n"
      "  postern config revert");

  CLI::App* get = group->add_subcommand("get", "Print it as YAML, secrets redacted");
  get->footer("Example:\n  postern config get > now.yaml");
  get->callback([&invocation] { invocation.run = RunGet; });
  AddApply(*group, invocation);

  const auto reason = std::make_shared<std::string>();
  CLI::App* revert =
      group->add_subcommand("revert", "Read posternd's own file again and put it in force");
  revert->add_option("--reason", *reason, "For the audit");
  revert->footer("Ends what was applied.\nExample:\n  postern config revert");
  revert->callback([&invocation, reason] {
    invocation.run = [reason](const Globals& globals) { return RunRevert(globals, *reason); };
  });
}

}  // namespace postern::client

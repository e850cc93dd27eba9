// `postern drain` and `postern health`.
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "postern/v1/control.grpc.pb.h"

namespace postern::client {
namespace {

int RunDrain(const Globals& globals, const std::string& budget) {
  const auto stub = v1::Control::NewStub(Connect(globals));
  grpc::ClientContext context;
  // The server drains on without us: Ctrl-C only ends the watching.
  SignalWatch stop([&context] { context.TryCancel(); });
  v1::DrainRequest request;
  if (!budget.empty()) *request.mutable_budget() = *ParseDuration(budget);
  const auto stream = stub->Drain(&context, request);
  v1::DrainProgress progress;
  while (stream->Read(&progress)) {
    if (globals.json) {
      std::cout << ToJson(progress) << std::endl;
      continue;
    }
    std::cout << ShortName(progress.phase()) << ": " << progress.open_connections()
              << " connections, " << progress.open_transactions() << " in a transaction, "
              << FormatDuration(progress.time_left()) << " left";
    if (progress.phase() == v1::DRAIN_PHASE_DONE) {
      std::cout << "; " << progress.cut() << " cut, " << progress.in_doubt() << " in doubt, "
                << progress.queued() << " rows stay in the spool";
    }
    std::cout << std::endl;
  }
  return Report(stream->Finish());
}

int RunHealth(const Globals& globals, const std::string& service) {
  using grpc::health::v1::HealthCheckResponse;
  UnblockStopSignals();
  const auto stub = grpc::health::v1::Health::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse answer;
  const grpc::Status status = stub->Check(&context, request, &answer);
  if (!status.ok()) return Report(status);
  if (globals.json) {
    std::cout << ToJson(answer) << std::endl;
  } else {
    std::cout << HealthCheckResponse::ServingStatus_Name(answer.status()) << std::endl;
  }
  return answer.status() == HealthCheckResponse::SERVING ? kOk : kFailed;
}

}  // namespace

void AddOperate(CLI::App& app, Invocation& invocation) {
  auto budget = std::make_shared<std::string>();
  CLI::App* drain = app.add_subcommand("drain", "End delivery in good order; prints the progress");
  drain
      ->add_option("--budget", *budget,
                   "Time for open sessions, then they are cut; default the "
                   "server's drain_budget")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "is not a duration such as 8s";
      });
  drain->footer(
      "Submissions are refused from now on; queued mail stays in the spool; the process stays up.\n"
      "Example:\n  postern drain --budget 8s");
  drain->callback([&invocation, budget] {
    invocation.run = [budget](const Globals& globals) { return RunDrain(globals, *budget); };
  });

  auto service = std::make_shared<std::string>();
  CLI::App* health = app.add_subcommand("health", "Ask for the state; exit code 0 when serving");
  health->add_option("--service", *service,
                     "Such as postern.v1.Delivery; default the whole server");
  health->footer("Example:\n  postern health && echo up");
  health->callback([&invocation, service] {
    invocation.run = [service](const Globals& globals) { return RunHealth(globals, *service); };
  });
}

}  // namespace postern::client

#include "client/command.h"

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <utility>

#include "client/format.h"
#include "client/terminal.h"

namespace postern::client {
namespace {

// SIGUSR2 wakes the thread of SignalWatch when it is no longer needed.
sigset_t WatchedSignals(bool with_wake) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (with_wake) sigaddset(&signals, SIGUSR2);
  return signals;
}

// An option that may be repeated takes one value each time: what follows may be a positional
// (`--to b@example.net letter.eml`).
void TakeOneValueAtATime(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) option->allow_extra_args(false);
  }
  for (CLI::App* below : command.get_subcommands({})) TakeOneValueAtATime(*below);
}

}  // namespace

void AddEverything(CLI::App& app, Invocation& invocation) {
  app.description("postern: submit mail, watch it go out, decide when sessions end.");
  app.footer(
      "Examples:\n"
      "  postern submit --from a@example.com --to b@example.net letter.eml\n"
      "  postern watch --events attempt,closed --domain '*.example.net'\n"
      "  postern decide --shutdown-after 20\n"
      "Exit codes: 0 done, 1 the server refused or could not be reached, 2 wrong usage.\n"
      "`postern COMMAND --help` shows each command with an example. Colours: on a terminal only, "
      "and\n"
      "not when NO_COLOR is set.");
  app.require_subcommand(1);
  app.fallthrough();  // global options may also follow the subcommand
  AddConnectionOptions(app, invocation.globals.connection);
  app.add_option("--timeout", invocation.globals.timeout,
                 "How long a call may take that answers once (2s, 5m); streams have no limit")
      ->check([](const std::string& text) {
        const auto timeout = ParseDuration(text);
        const bool some = timeout && (timeout->seconds() > 0 || timeout->nanos() > 0);
        return some ? "" : "is not a duration such as 2s or 5m";
      })
      ->capture_default_str();
  app.add_flag("--json", invocation.globals.json, "Print one protobuf-JSON object per line");
  AddSubmit(app, invocation);
  AddMessages(app, invocation);
  AddOutcomes(app, invocation);
  AddWatch(app, invocation);
  AddDecide(app, invocation);
  AddVerdict(app, invocation);
  AddLists(app, invocation);
  AddSteer(app, invocation);
  AddSettle(app, invocation);
  AddOperate(app, invocation);
  AddConfig(app, invocation);
  AddSwitch(app, invocation);
  AddTop(app, invocation);
  AddCompletion(app, invocation);
  TakeOneValueAtATime(app);
}

void SetDeadline(grpc::ClientContext& context, const Globals& globals) {
  const google::protobuf::Duration timeout = *ParseDuration(globals.timeout);
  const auto wait =
      std::chrono::seconds(timeout.seconds()) + std::chrono::microseconds(timeout.nanos() / 1000);
  context.set_deadline(std::chrono::system_clock::now() + wait);
}

int Report(const grpc::Status& status) {
  if (status.ok()) return kOk;
  std::cerr << "postern: "
            << Paint(CodeName(status.error_code()), Colour::kBad, HasColours(STDERR_FILENO)) << ": "
            << Printable(status.error_message());
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    std::cerr << ": no answer within --timeout; what was asked for may have been done";
  }
  std::cerr << std::endl;
  const std::string hint = HintFor(status);
  if (!hint.empty()) std::cerr << "postern: " << hint << std::endl;
  return kFailed;
}

void BlockStopSignals() {
  const sigset_t signals = WatchedSignals(true);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void UnblockStopSignals() {
  const sigset_t signals = WatchedSignals(false);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

SignalWatch::SignalWatch(std::function<void()> on_signal)
    : thread_([on_signal = std::move(on_signal)] {
        const sigset_t signals = WatchedSignals(true);
        int signal = 0;
        if (sigwait(&signals, &signal) == 0 && signal != SIGUSR2) {
          UnblockStopSignals();  // a second Ctrl-C ends the program at once
          on_signal();
          sigset_t wake = WatchedSignals(true);
          sigdelset(&wake, SIGINT);
          sigdelset(&wake, SIGTERM);
          sigwait(&wake, &signal);
        }
      }) {}

bool Interruption::WaitFor(std::chrono::nanoseconds time) {
  std::unique_lock<std::mutex> lock(mu_);
  return changed_.wait_for(lock, time, [this] { return came_; });
}

SignalWatch::~SignalWatch() {
  pthread_kill(thread_.native_handle(), SIGUSR2);
  thread_.join();
}

}  // namespace postern::client

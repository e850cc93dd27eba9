// `postern flush`.
#include "client/flush.h"

#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "client/steer.h"
#include "client/terminal.h"
#include "postern/v1/control.grpc.pb.h"

namespace postern::client {
namespace {

constexpr std::chrono::seconds kLookEvery{1};

struct FlushOptions {
  ScopeOptions scope;
  std::string message;
  bool wait = false;
};

grpc::Status LookAtQueues(const Globals& globals, v1::Control::Stub& stub,
                          const ScopeOptions& scope, FlushProgress* progress) {
  v1::ListQueuesRequest request;
  request.mutable_filter()->add_domains(scope.domain);
  if (!scope.binding.empty()) request.mutable_filter()->add_bindings(scope.binding);
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    SetDeadline(context, globals);
    v1::ListQueuesResponse answer;
    grpc::Status status = stub.ListQueues(&context, request, &answer);
    if (!status.ok()) return status;
    for (const v1::Queue& queue : answer.queues()) Count(queue, *progress);
    request.set_page_token(answer.next_page_token());
  } while (!request.page_token().empty());
  return grpc::Status::OK;
}

// Until nothing of the scope is due, or Ctrl-C.
int WaitUntilDone(const Globals& globals, v1::Control::Stub& stub, const ScopeOptions& scope) {
  Interruption interruption;
  StatusLine line(!globals.json);
  while (true) {
    FlushProgress progress;
    const grpc::Status status = LookAtQueues(globals, stub, scope, &progress);
    if (!status.ok()) {
      line.Clear();
      return Report(status);
    }
    const bool done = progress.due == 0;
    if (!done) line.Show(DescribeDue(progress));
    if (!done && !interruption.WaitFor(kLookEvery)) continue;
    line.Clear();
    if (!globals.json) {
      std::cout << (done ? absl::StrCat("done: ", DescribeRest(progress))
                         : absl::StrCat("left: ", DescribeDue(progress)))
                << std::endl;
    }
    return done ? kOk : kFailed;
  }
}

int RunFlush(const Globals& globals, const FlushOptions& options) {
  if (!options.wait) UnblockStopSignals();  // else Interruption sees them, now or then
  const auto stub = v1::Control::NewStub(Connect(globals));
  v1::FlushRequest request;
  if (!options.scope.domain.empty()) *request.mutable_scope() = BuildScope(options.scope);
  request.set_message_id(options.message);
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::FlushResponse answer;
  const grpc::Status status = stub->Flush(&context, request, &answer);
  if (!status.ok()) return Report(status);
  if (globals.json) {
    std::cout << ToJson(answer) << std::endl;
  } else {
    std::cout << CountOf(answer.rows(), "row is due", "rows are due") << std::endl;
  }
  return options.wait ? WaitUntilDone(globals, *stub, options.scope) : kOk;
}

}  // namespace

void Count(const v1::Queue& queue, FlushProgress& progress) {
  progress.delayed += queue.delayed();
  if (queue.suspended() || queue.has_suspension()) {
    progress.stopped += queue.active();
  } else if (queue.active() > 0) {
    progress.due += queue.active();
    ++progress.queues;
    if (queue.has_backoff_until()) ++progress.backing_off;
  }
}

std::string DescribeDue(const FlushProgress& progress) {
  std::string text = absl::StrCat(CountOf(progress.due, "row is", "rows are"), " due in ",
                                  CountOf(progress.queues, "queue", "queues"));
  if (progress.backing_off > 0) {
    absl::StrAppend(&text, ", ", progress.backing_off, " of them in back-off");
  }
  return text;
}

std::string DescribeRest(const FlushProgress& progress) {
  std::string text;
  if (progress.delayed > 0) text = CountOf(progress.delayed, "row is delayed", "rows are delayed");
  if (progress.stopped > 0) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", progress.stopped,
                    " wait in queues that are suspended or held");
  }
  return text.empty() ? "nothing waits" : text;
}

void AddFlush(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<FlushOptions>();
  CLI::App* flush = app.add_subcommand("flush", "Make delayed mail due now");
  AddScope(*flush, options->scope, false);
  CLI::Option* message = flush->add_option("--message", options->message, "Only this message");
  flush
      ->add_flag("--wait", options->wait,
                 "Then wait until everything that was due in the scope has been attempted")
      ->excludes(message);
  flush->footer(
      "Also ends the back-off of the queues. Does not lift a suspension.\n"
      "--wait shows how far it is, looking once a second. Mail that comes meanwhile counts; that "
      "of\n"
      "suspended queues does not. Exit code 0 when nothing is due any more (what was refused for "
      "now\n"
      "is delayed again), 1 when it was left with Ctrl-C before; delivery goes on either way.\n"
      "Examples:\n"
      "  postern flush example.net\n"
      "  postern flush '*.example.net' --wait\n"
      "  postern flush --message 0f3c5d0a9b8e4c7fa1d2e3f405162738");
  flush->callback([&invocation, options] {
    if (options->scope.domain.empty() && options->message.empty()) {
      throw CLI::RequiredError("domain or --message");
    }
    invocation.run = [options](const Globals& globals) { return RunFlush(globals, *options); };
  });
}

}  // namespace postern::client

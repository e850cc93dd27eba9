#include "client/decide.h"

#include <atomic>
#include <iostream>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "postern/v1/hooks.grpc.pb.h"

namespace postern::client {
namespace {

using DecideStream = grpc::ClientReaderWriter<v1::DecideRequest, v1::DecideResponse>;

// After Ctrl-C, how long the server may take to end the stream before it is cut.
constexpr std::chrono::seconds kFarewell{2};

void PrintFrame(const v1::DecideResponse& frame) {
  if (frame.has_attached()) {
    const auto& attached = frame.attached();
    std::cout << "attached as " << Printable(attached.provider_id()) << ": "
              << (attached.mode() == v1::DECIDE_MODE_SHADOW ? "in shadow mode, " : "")
              << ShortName(attached.ask()) << ", timeout " << FormatDuration(attached.timeout())
              << ", default " << ShortName(attached.default_verdict()) << "\n";
  }
  for (const auto& question : frame.questions().questions()) {
    std::cout << FormatQuestion(question) << "\n";
  }
  for (const auto& result : frame.verdict_results().results()) {
    std::cout << FormatVerdictResult(result) << "\n";
  }
  if (frame.has_question_cancelled()) {
    const auto& cancelled = frame.question_cancelled();
    std::cout << "question " << cancelled.number() << " about "
              << ShortId(cancelled.connection_id())
              << " cancelled: " << ShortName(cancelled.cause()) << "\n";
  }
  if (frame.has_gap()) std::cout << FormatGap(frame.gap()) << "\n";
  if (frame.has_snapshot()) {
    std::cout << "snapshot: " << frame.snapshot().connections_size() << " connections open\n";
  }
  if (frame.has_draining()) std::cout << "the service drains\n";
  std::cout << std::flush;
}

void Print(bool json, v1::DecideResponse* frame) {
  if (frame->has_events()) {
    std::uint64_t seen = 0;
    PrintEvents(json, frame->mutable_events(), 0, &seen);
  } else if (!json) {
    PrintFrame(*frame);
  } else if (!frame->has_heartbeat()) {
    std::cout << ToJson(*frame) << std::endl;
  }
}

int RunDecide(const Globals& globals, const DecideOptions& options) {
  const auto stub = v1::Hooks::NewStub(Connect(globals));
  grpc::ClientContext context;
  const auto stream = stub->Decide(&context);
  // Two threads write: this one, and the one that says goodbye on Ctrl-C.
  std::mutex writing;
  bool detached = false;
  std::atomic<bool> over = false;
  const auto write = [&](const v1::DecideRequest& request) {
    const std::lock_guard lock(writing);
    return !detached && stream->Write(request);
  };
  write(BuildAttach(options));
  SignalWatch stop([&] {
    {
      const std::lock_guard lock(writing);
      v1::DecideRequest goodbye;
      goodbye.mutable_detach()->set_reason("interrupted");
      stream->WriteLast(goodbye, grpc::WriteOptions());
      detached = true;
    }
    const auto until = std::chrono::steady_clock::now() + kFarewell;
    while (!over && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    if (!over) context.TryCancel();
  });

  Judge judge(options);
  v1::DecideResponse frame;
  while (stream->Read(&frame)) {
    // Answer first: sessions wait for it, the terminal can wait.
    for (const auto& request : Respond(judge, frame)) write(request);
    Print(globals.json, &frame);
  }
  over = true;
  const grpc::Status status = stream->Finish();
  const std::lock_guard lock(writing);
  return detached && status.error_code() == grpc::StatusCode::CANCELLED ? kOk : Report(status);
}

}  // namespace

v1::DecideRequest BuildAttach(const DecideOptions& options) {
  v1::DecideRequest request;
  v1::Attach& attach = *request.mutable_attach();
  attach.set_provider(options.name);
  attach.set_mode(options.shadow ? v1::DECIDE_MODE_SHADOW : v1::DECIDE_MODE_ENFORCE);
  attach.set_protocol_version(1);
  attach.set_priority(options.priority);
  *attach.mutable_filter() = BuildFilter(options.filter);
  bool has_connection = false;
  for (v1::EventKind kind :
       ParseKinds(options.filter.kinds).value_or(std::vector<v1::EventKind>{})) {
    has_connection |= kind == v1::EVENT_KIND_POST_INITIATE_CONNECTION_SMTP;
    attach.add_kinds(kind);
  }
  if (options.ahead && !has_connection) {
    attach.add_kinds(v1::EVENT_KIND_POST_INITIATE_CONNECTION_SMTP);
  }
  attach.set_snapshot(options.ahead);
  if (options.ask == "async") {
    attach.set_ask(v1::ASK_MODE_ASYNC);
  } else if (options.ask == "standing" || (options.ask.empty() && options.ahead)) {
    attach.set_ask(v1::ASK_MODE_STANDING);
  } else {
    attach.set_ask(v1::ASK_MODE_SYNC);
  }
  if (const auto timeout = ParseDuration(options.timeout); timeout && !options.timeout.empty()) {
    *attach.mutable_timeout() = *timeout;
  }
  if (options.default_verdict == "keep") attach.set_default_verdict(v1::DEFAULT_VERDICT_KEEP);
  if (options.default_verdict == "shutdown") {
    attach.set_default_verdict(v1::DEFAULT_VERDICT_SHUTDOWN);
  }
  return request;
}

v1::Verdict Judge::Shutdown() {
  v1::Verdict verdict;
  verdict.set_verdict_id(next_id_++);
  verdict.set_decision(v1::DECISION_SHUTDOWN);
  verdict.set_reason(absl::StrCat("after ", options_.shutdown_after, " deliveries"));
  SetThen(options_.then, verdict);
  return verdict;
}

v1::Verdict Judge::Answer(const v1::Question& question) {
  v1::Verdict verdict;
  if (options_.shutdown_after > 0 && question.deliveries() >= options_.shutdown_after) {
    verdict = Shutdown();
  } else {
    verdict.set_verdict_id(next_id_++);
    verdict.set_decision(v1::DECISION_KEEP);
  }
  verdict.mutable_question()->set_connection_id(question.connection_id());
  verdict.mutable_question()->set_number(question.number());
  return verdict;
}

std::optional<v1::Verdict> Judge::Ahead(const std::string& connection_id) {
  if (!options_.ahead || options_.shutdown_after == 0) return std::nullopt;
  v1::Verdict verdict = Shutdown();
  verdict.mutable_connection()->set_connection_id(connection_id);
  verdict.mutable_connection()->set_after_deliveries(options_.shutdown_after);
  return verdict;
}

std::vector<v1::DecideRequest> Respond(Judge& judge, const v1::DecideResponse& frame) {
  v1::DecideRequest verdicts;
  const auto add = [&verdicts](std::optional<v1::Verdict> verdict) {
    if (verdict) *verdicts.mutable_verdicts()->add_verdicts() = *std::move(verdict);
  };
  for (const auto& question : frame.questions().questions()) add(judge.Answer(question));
  for (const auto& open : frame.snapshot().connections()) {
    add(judge.Ahead(open.connection().connection_id()));
  }
  for (const auto& event : frame.events().events()) {
    if (event.post_initiate_connection_smtp().has_conn_fd()) {
      add(judge.Ahead(event.connection().connection_id()));
    }
  }
  std::vector<v1::DecideRequest> requests;
  if (verdicts.has_verdicts()) requests.push_back(std::move(verdicts));
  if (const v1::Events& events = frame.events(); events.events_size() > 0) {
    v1::DecideRequest acknowledge;
    acknowledge.mutable_acknowledge()->set_position(
        events.first_position() + static_cast<std::uint64_t>(events.events_size()) - 1);
    requests.push_back(std::move(acknowledge));
  }
  return requests;
}

void AddDecide(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<DecideOptions>();
  CLI::App* command = app.add_subcommand("decide", "Decide when sessions end, until Ctrl-C");
  command->add_option("--name", options->name, "Provider name; the same name = replicas")
      ->capture_default_str();
  CLI::Option* shutdown_after =
      command->add_option("--shutdown-after", options->shutdown_after,
                          "End a session after so many deliveries; without it sessions are kept");
  command->add_flag("--ahead", options->ahead,
                    "Answer the connection event instead of questions: no session waits");
  command->add_option("--ask", options->ask, "How questions are asked")
      ->check(CLI::IsMember({"sync", "async", "standing"}));
  command
      ->add_option("--timeout", options->timeout, "Time for an answer (50ms); at most the server's")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "is not a duration such as 50ms";
      });
  command->add_option("--default", options->default_verdict, "What counts when no answer comes")
      ->check(CLI::IsMember({"keep", "shutdown"}));
  command->add_option("--priority", options->priority, "Whose reason is recorded; highest first")
      ->check(CLI::Range(-100, 100));
  command->add_flag("--shadow", options->shadow,
                    "Be asked and compared only: verdicts are not used, nothing waits for them");
  AddThenOptions(*command, options->then)->needs(shutdown_after);
  AddFilterOptions(*command, options->filter);
  command->footer(
      "Prints events, questions and the result of each verdict; with --json events as in `watch`\n"
      "and everything else as one DecideResponse per line.\n"
      "Examples:\n"
      "  postern decide --shutdown-after 20 --domain '*.example.net'\n"
      "  postern decide --shutdown-after 20 --ahead --name recycler\n"
      "  postern decide --shutdown-after 20 --then hold --for 1m\n"
      "  postern decide --shutdown-after 5 --shadow --name candidate");
  command->callback([&invocation, options] {
    if (options->ahead && options->shutdown_after == 0) {
      throw CLI::ValidationError("--ahead", "needs --shutdown-after");
    }
    invocation.run = [options](const Globals& globals) { return RunDecide(globals, *options); };
  });
}

}  // namespace postern::client

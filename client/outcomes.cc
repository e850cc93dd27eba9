// `postern outcomes`: what became of mail, to the last one, for whoever keeps books.
#include "client/outcomes.h"

#include <unistd.h>

#include <atomic>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "client/terminal.h"
#include "postern/v1/delivery.grpc.pb.h"

namespace postern::client {
namespace {

void Print(bool json, const v1::OutcomesResponse& frame) {
  if (frame.has_gap()) {
    std::cout << (json ? ToJson(frame.gap()) : FormatOutcomesGap(frame.gap())) << std::endl;
  }
  if (!frame.has_outcomes()) return;
  if (json) {
    std::cout << ToJson(frame.outcomes()) << std::endl;
    return;
  }
  const bool colours = HasColours(STDOUT_FILENO);
  for (const auto& outcome : frame.outcomes().outcomes()) {
    std::cout << FormatOutcome(outcome, colours) << "\n";
  }
  std::cout << std::flush;
}

int RunOutcomes(const Globals& globals, const OutcomesOptions& options) {
  const auto stub = v1::Delivery::NewStub(Connect(globals));
  grpc::ClientContext context;
  std::atomic<bool> stopped = false;
  SignalWatch stop([&] {
    stopped = true;
    context.TryCancel();
  });
  auto stream = stub->Outcomes(&context);
  stream->Write(BuildOutcomes(options));
  // Until the first one: there may be none for hours.
  StatusLine waiting(true);
  waiting.Show("waiting for outcomes; Ctrl-C ends");
  v1::OutcomesResponse frame;
  std::uint64_t seen = 0;
  bool enough = false;
  std::string cursor;
  while (stream->Read(&frame)) {
    // What is still under way when there is enough is neither shown nor acknowledged.
    if (enough) continue;
    if (!frame.has_heartbeat()) waiting.Clear();
    Print(globals.json, frame);
    if (!frame.has_outcomes()) continue;
    seen += static_cast<std::uint64_t>(frame.outcomes().outcomes_size());
    cursor = frame.outcomes().cursor();
    if (options.acknowledge) {
      v1::OutcomesRequest request;
      request.mutable_acknowledge()->set_cursor(cursor);
      stream->Write(request);
    }
    enough = options.count > 0 && seen >= options.count;
    if (enough) stream->WritesDone();
  }
  const grpc::Status status = stream->Finish();
  waiting.Clear();
  if (!cursor.empty() && !globals.json) std::cerr << "next: --from " << cursor << std::endl;
  return stopped && status.error_code() == grpc::StatusCode::CANCELLED ? kOk : Report(status);
}

}  // namespace

v1::OutcomesRequest BuildOutcomes(const OutcomesOptions& options) {
  v1::OutcomesRequest request;
  v1::OutcomesStart& start = *request.mutable_start();
  start.set_consumer(options.consumer);
  start.set_after_cursor(options.from);
  start.set_final_only(options.final_only);
  for (const auto& domain : options.domains) start.mutable_filter()->add_domains(domain);
  for (const auto& binding : options.bindings) start.mutable_filter()->add_bindings(binding);
  return request;
}

std::string FormatOutcome(const v1::Outcome& outcome, bool colours) {
  return absl::StrCat(FormatTime(outcome.time()), "  ", outcome.message_id(), "  ",
                      Printable(outcome.recipient()), "  ",
                      PaintWord(ShortName(outcome.disposition()), colours), "  ",
                      FormatReply(outcome.reply()));
}

std::string FormatOutcomesGap(const v1::OutcomesGap& gap) {
  const std::string lost = gap.lost() == 0 ? "an unknown number of" : absl::StrCat(gap.lost());
  return absl::StrCat("gap: ", lost, " outcomes lost (", ShortName(gap.cause()), ")");
}

void AddOutcomes(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<OutcomesOptions>();
  CLI::App* command =
      app.add_subcommand("outcomes", "Print what became of mail, none left out, until Ctrl-C");
  CLI::Option* consumer = command->add_option(
      "--consumer", options->consumer, "Durable name: begin behind what it has acknowledged");
  command->add_option("--from", options->from, "Begin behind this cursor instead");
  command->add_flag("--ack", options->acknowledge, "Acknowledge what was printed")->needs(consumer);
  command->add_flag("--final", options->final_only, "Leave out deferrals");
  command->add_option("--count", options->count, "Exit after so many, with the batch they are in");
  command->add_option("--domain", options->domains,
                      "Only this domain; also '*.suffix'; repeat for more");
  command->add_option("--binding", options->bindings, "Only this binding; repeat for more");
  command->footer(
      "Prints time, message, recipient, disposition and reply, and at the end where to go on "
      "from.\n"
      "With --json one OutcomeBatch per line, with its cursor; a loss is a line with its cause.\n"
      "Without --consumer it only looks: from --from, else from the oldest that is kept.\n"
      "Examples:\n"
      "  postern outcomes --final --count 100\n"
      "  postern outcomes --consumer books --ack --json | jq -c '.outcomes[]'");
  command->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) { return RunOutcomes(globals, *options); };
  });
}

}  // namespace postern::client

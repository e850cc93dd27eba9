// `postern watch`: events as they happen.
#include "client/watch.h"

#include <unistd.h>

#include <atomic>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "client/command.h"
#include "client/format.h"
#include "client/terminal.h"
#include "postern/v1/hooks.grpc.pb.h"

namespace postern::client {
namespace {

// Anything but events, for people.
void PrintOther(const v1::WatchResponse& frame) {
  if (frame.has_gap()) {
    std::cout << FormatGap(frame.gap()) << std::endl;
  } else if (frame.has_snapshot()) {
    std::cout << "snapshot: " << frame.snapshot().connections_size() << " connections open"
              << std::endl;
  } else if (frame.has_draining()) {
    std::cout << "the service drains" << std::endl;
  }
}

int RunWatch(const Globals& globals, const WatchOptions& options) {
  const auto stub = v1::Hooks::NewStub(Connect(globals));
  grpc::ClientContext context;
  std::atomic<bool> stopped = false;
  SignalWatch stop([&] {
    stopped = true;
    context.TryCancel();
  });
  auto stream = stub->Watch(&context, BuildWatch(options));
  v1::WatchResponse frame;
  std::uint64_t seen = 0;
  while (stream->Read(&frame)) {
    if (!frame.has_events()) {
      if (!globals.json) {
        PrintOther(frame);
      } else if (!frame.has_heartbeat()) {
        std::cout << ToJson(frame) << std::endl;
      }
      continue;
    }
    PrintEvents(globals.json, frame.mutable_events(), options.count, &seen);
    if (options.count > 0 && seen >= options.count) {
      stopped = true;
      context.TryCancel();
      break;
    }
  }
  const grpc::Status status = stream->Finish();
  return stopped && status.error_code() == grpc::StatusCode::CANCELLED ? kOk : Report(status);
}

}  // namespace

void PrintEvents(bool json, v1::Events* events, std::uint64_t limit, std::uint64_t* seen) {
  const bool colours = HasColours(STDOUT_FILENO);
  for (auto& event : *events->mutable_events()) {
    if (limit > 0 && *seen >= limit) break;
    ++*seen;
    // The frame carries the epoch; with it each line is a place to resume from.
    event.set_epoch(events->epoch());
    std::cout << (json ? ToJson(event) : FormatEvent(event, colours)) << "\n";
  }
  std::cout << std::flush;
}

std::optional<v1::Cursor> ParseCursor(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, ':');
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  if (!absl::SimpleAtoi(parts.first, &epoch) || !absl::SimpleAtoi(parts.second, &sequence)) {
    return std::nullopt;
  }
  v1::Cursor cursor;
  cursor.set_epoch(epoch);
  cursor.set_sequence(sequence);
  return cursor;
}

void AddFilterOptions(CLI::App& command, FilterOptions& options) {
  command
      .add_option("--events", options.kinds,
                  "Kinds, by commas: connection, ready, attempt, verdict, closed, all")
      ->check([](const std::string& text) {
        return ParseKinds(text) ? ""
                                : "names a kind that is not one of connection, ready, attempt, "
                                  "verdict, closed, all";
      })
      ->capture_default_str();
  command.add_option("--domain", options.domains,
                     "Only this domain; also '*.suffix'; repeat for more");
  command.add_option("--binding", options.bindings, "Only this binding; repeat for more");
}

v1::Filter BuildFilter(const FilterOptions& options) {
  v1::Filter filter;
  for (const auto& domain : options.domains) filter.add_domains(domain);
  for (const auto& binding : options.bindings) filter.add_bindings(binding);
  return filter;
}

v1::WatchRequest BuildWatch(const WatchOptions& options) {
  v1::WatchRequest request;
  for (v1::EventKind kind :
       ParseKinds(options.filter.kinds).value_or(std::vector<v1::EventKind>{})) {
    request.add_kinds(kind);
  }
  *request.mutable_filter() = BuildFilter(options.filter);
  if (const auto after = ParseCursor(options.after)) *request.mutable_after() = *after;
  request.set_snapshot(options.snapshot);
  return request;
}

void AddWatch(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* command = app.add_subcommand("watch", "Print events as they happen, until Ctrl-C");
  AddFilterOptions(*command, options->filter);
  command->add_option("--count", options->count, "Exit after so many events");
  command
      ->add_option("--after", options->after,
                   "Resume behind this event: EPOCH:SEQUENCE, as --json shows them")
      ->check(
          [](const std::string& text) { return ParseCursor(text) ? "" : "is not EPOCH:SEQUENCE"; });
  command->add_flag("--snapshot", options->snapshot, "Begin with the connections open now");
  command->footer(
      "Prints time, sequence, kind, connection, domain/binding and what happened. With --json one\n"
      "Event per line; a loss, a snapshot or a drain is a line {\"gap\": ...} and so on.\n"
      "Examples:\n"
      "  postern watch --domain '*.example.net' --events attempt,closed\n"
      "  postern watch --json --count 10");
  command->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) { return RunWatch(globals, *options); };
  });
}

}  // namespace postern::client

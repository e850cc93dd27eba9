#include "client/top.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/command.h"
#include "client/format.h"
#include "client/watch.h"
#include "postern/v1/control.grpc.pb.h"
#include "postern/v1/hooks.grpc.pb.h"

namespace postern::client {
namespace {

constexpr std::size_t kVerdicts = 5;
using Table = std::vector<std::vector<std::string>>;

std::string PerSecond(std::uint64_t count, double seconds) {
  return absl::StrFormat("%.1f", seconds > 0 ? static_cast<double>(count) / seconds : 0.0);
}

std::string Summary(const Screen& screen) {
  std::uint64_t active = 0;
  std::uint64_t delayed = 0;
  for (const auto& queue : screen.queues) {
    active += queue.active();
    delayed += queue.delayed();
  }
  const Rates& rates = screen.rates;
  const std::string counts =
      absl::StrCat(screen.queues.size(), screen.more_queues ? "+" : "", " queues, ", active,
                   screen.more_queues ? "+" : "", " rows active, ", delayed,
                   screen.more_queues ? "+" : "", " delayed, ", screen.connections.size(),
                   screen.more_connections ? "+" : "", " connections\n");
  // Nothing known is not nothing happening.
  if (!screen.no_events.empty()) {
    return absl::StrCat(counts, "per second: not known: ", screen.no_events, "\n");
  }
  return absl::StrCat(counts, "per second: ", PerSecond(rates.delivered, rates.seconds),
                      " delivered, ", PerSecond(rates.deferred, rates.seconds), " deferred, ",
                      PerSecond(rates.failed, rates.seconds), " failed; ",
                      PerSecond(rates.opened, rates.seconds), " connected, ",
                      PerSecond(rates.refused, rates.seconds), " not; verdicts ",
                      PerSecond(rates.keeps, rates.seconds), " keep, ",
                      PerSecond(rates.shutdowns, rates.seconds), " shutdown\n");
}

Table QueueTable(std::vector<v1::Queue> queues, std::size_t most) {
  std::sort(queues.begin(), queues.end(), [](const auto& a, const auto& b) {
    return a.active() + a.delayed() > b.active() + b.delayed();
  });
  Table table = {{"QUEUE", "ACTIVE", "DELAYED", "OPEN", "DIALING", "REASON"}};
  for (const auto& queue : queues) {
    if (table.size() > most) break;
    table.push_back({PairName(queue.domain(), queue.binding()), absl::StrCat(queue.active()),
                     absl::StrCat(queue.delayed()), absl::StrCat(queue.open_connections()),
                     absl::StrCat(queue.dialing()), ShortName(queue.reason())});
  }
  return table;
}

Table ConnectionTable(std::vector<v1::OpenConnection> connections, std::size_t most) {
  std::sort(connections.begin(), connections.end(),
            [](const auto& a, const auto& b) { return a.deliveries() > b.deliveries(); });
  Table table = {{"CONNECTION", "QUEUE", "ADDRESS", "STATE", "AGE", "DELIVERIES"}};
  for (const auto& open : connections) {
    if (table.size() > most) break;
    const v1::Connection& connection = open.connection();
    table.push_back({ShortId(connection.connection_id()),
                     PairName(connection.domain(), connection.binding()),
                     connection.remote_address(), ShortName(open.state()),
                     FormatDuration(open.age()), absl::StrCat(open.deliveries())});
  }
  return table;
}

Table ClientTable(const v1::ListProvidersResponse& hooks) {
  Table table = {{"POLICY CLIENT", "ASK", "STREAMS", "QUESTIONS", "ANSWERED", "OPEN"}};
  for (const auto& client : hooks.remote()) {
    table.push_back({Printable(client.name()), ShortName(client.ask()),
                     absl::StrCat(client.streams_size()), absl::StrCat(client.questions()),
                     absl::StrCat(client.answered()), absl::StrCat(client.open())});
  }
  return table;
}

// What the stream of events brings, for the thread that draws.
class Feed {
 public:
  Feed(const Globals& globals, const FilterOptions& filter)
      : stub_(v1::Hooks::NewStub(Connect(globals))), started_(std::chrono::steady_clock::now()) {
    WatchOptions watch;
    watch.filter = filter;
    watch.filter.kinds = "connection,attempt,verdict";
    request_ = BuildWatch(watch);
    thread_ = std::thread([this] { Read(); });
  }
  ~Feed() {
    context_.TryCancel();
    thread_.join();
  }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // The counts since the call before, and the latest verdicts.
  void Take(Screen& screen) {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard<std::mutex> lock(mu_);
    rates_.seconds = std::chrono::duration<double>(now - std::exchange(started_, now)).count();
    screen.rates = std::exchange(rates_, Rates());
    screen.verdicts = verdicts_;
    screen.no_events = ended_;
  }

 private:
  void Read() {
    const auto stream = stub_->Watch(&context_, request_);
    v1::WatchResponse frame;
    while (stream->Read(&frame)) {
      const std::lock_guard<std::mutex> lock(mu_);
      for (const auto& event : frame.events().events()) {
        Count(event, rates_);
        if (!event.has_verdict()) continue;
        verdicts_.push_back(FormatEvent(event));
        if (verdicts_.size() > kVerdicts) verdicts_.pop_front();
      }
    }
    const grpc::Status status = stream->Finish();
    const std::lock_guard<std::mutex> lock(mu_);
    ended_ = absl::StrCat(
        "Watch ended", status.ok() ? "" : absl::StrCat(": ", CodeName(status.error_code()), ": "),
        Printable(status.error_message()));
  }

  const std::unique_ptr<v1::Hooks::Stub> stub_;
  grpc::ClientContext context_;
  v1::WatchRequest request_;
  std::mutex mu_;
  Rates rates_;
  std::deque<std::string> verdicts_;
  std::string ended_;  // why there are no more events; empty: they come
  std::chrono::steady_clock::time_point started_;
  std::thread thread_;
};

struct TopOptions {
  FilterOptions filter;
  std::string interval = "1s";
  std::uint64_t count = 0;
};

grpc::Status Fetch(const Globals& globals, const TopOptions& options, Screen& screen) {
  const auto channel = Connect(globals);
  const auto control = v1::Control::NewStub(channel);
  const auto hooks = v1::Hooks::NewStub(channel);
  v1::ListQueuesRequest queues;
  *queues.mutable_filter() = BuildFilter(options.filter);
  queues.set_page_size(kPageSize);
  grpc::Status status = ForEachPage<v1::ListQueuesResponse>(
      queues,
      [&](const auto& request, auto* answer) {
        grpc::ClientContext context;
        SetDeadline(context, globals);
        return control->ListQueues(&context, request, answer);
      },
      [&](const auto& answer) {
        screen.queues.insert(screen.queues.end(), answer.queues().begin(), answer.queues().end());
      },
      &screen.more_queues);
  if (!status.ok()) return status;
  v1::ListConnectionsRequest connections;
  *connections.mutable_filter() = queues.filter();
  connections.set_page_size(kPageSize);
  status = ForEachPage<v1::ListConnectionsResponse>(
      connections,
      [&](const auto& request, auto* answer) {
        grpc::ClientContext context;
        SetDeadline(context, globals);
        return control->ListConnections(&context, request, answer);
      },
      [&](const auto& answer) {
        screen.connections.insert(screen.connections.end(), answer.connections().begin(),
                                  answer.connections().end());
      },
      &screen.more_connections);
  if (!status.ok()) return status;
  grpc::ClientContext context;
  SetDeadline(context, globals);
  return hooks->ListProviders(&context, v1::ListProvidersRequest(), &screen.hooks);
}

int RunTop(const Globals& globals, const TopOptions& options) {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  Interruption interruption;
  const google::protobuf::Duration interval = *ParseDuration(options.interval);
  const auto wait =
      std::chrono::seconds(interval.seconds()) + std::chrono::nanoseconds(interval.nanos());
  Feed feed(globals, options.filter);
  for (std::uint64_t shown = 0; options.count == 0 || shown < options.count; ++shown) {
    if (shown > 0 && interruption.WaitFor(wait)) break;
    Screen screen;
    const grpc::Status status = Fetch(globals, options, screen);
    if (!status.ok()) return Report(status);
    feed.Take(screen);
    winsize size{};
    if (!terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) {
      size.ws_col = 120;
      size.ws_row = 50;
    }
    // Home, draw, clear what is left below: no flicker.
    if (terminal) std::cout << "\033[H";
    const std::string text =
        Draw(screen, globals.connection.address, size.ws_col, size.ws_row, terminal);
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      std::cout << std::string(line.data(), line.size()) << (terminal ? "\033[K\n" : "\n");
    }
    std::cout << (terminal ? "\033[J" : "\n") << std::flush;
  }
  return kOk;
}

}  // namespace

void Count(const v1::Event& event, Rates& rates) {
  if (event.has_delivery_attempt()) {
    for (const auto& recipient : event.delivery_attempt().recipients()) {
      switch (recipient.disposition()) {
        case v1::DISPOSITION_DELIVERED:
          ++rates.delivered;
          break;
        case v1::DISPOSITION_QUEUED:
        case v1::DISPOSITION_DEFERRED:
          ++rates.deferred;
          break;
        default:
          ++rates.failed;
      }
    }
  } else if (event.has_verdict()) {
    ++(event.verdict().decision() == v1::DECISION_SHUTDOWN ? rates.shutdowns : rates.keeps);
  } else if (event.has_post_initiate_connection_smtp()) {
    ++(event.post_initiate_connection_smtp().has_conn_fd() ? rates.opened : rates.refused);
  }
}

std::string Draw(const Screen& screen, const std::string& server, std::size_t width,
                 std::size_t height, bool bold) {
  // The fixed lines, then half of the rest for queues, half for connections.
  const std::size_t fixed =
      3 + screen.verdicts.size() + 3 + static_cast<std::size_t>(screen.hooks.remote_size());
  const std::size_t rest = height > fixed + 8 ? height - fixed - 4 : 4;
  std::string text = absl::StrCat("postern top: ", server, "\n", Summary(screen));
  absl::StrAppend(&text, FormatTable(QueueTable(screen.queues, rest / 2)),
                  FormatTable(ConnectionTable(screen.connections, rest / 2)),
                  FormatTable(ClientTable(screen.hooks)));
  if (!screen.verdicts.empty()) absl::StrAppend(&text, "LATEST VERDICTS\n");
  for (const std::string& verdict : screen.verdicts) absl::StrAppend(&text, verdict, "\n");
  std::string cut;
  std::size_t lines = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (++lines >= height) break;
    const bool heading =
        line.size() > 1 && line[0] >= 'A' && line[0] <= 'Z' && line[1] >= 'A' && line[1] <= 'Z';
    const absl::string_view shown = line.substr(0, width);
    absl::StrAppend(&cut, bold && heading ? "\033[1m" : "", shown, bold && heading ? "\033[0m" : "",
                    "\n");
  }
  return cut;
}

void AddTop(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<TopOptions>();
  CLI::App* command =
      app.add_subcommand("top", "Live view of queues, connections and verdicts, until Ctrl-C");
  command->add_option("--interval", options->interval, "Time between two screens (500ms, 2s)")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "is not a duration such as 500ms or 2s";
      })
      ->capture_default_str();
  command->add_option("--count", options->count, "Exit after so many screens");
  command->add_option("--domain", options->filter.domains,
                      "Only this domain; also '*.suffix'; repeat for more");
  command->add_option("--binding", options->filter.bindings, "Only this binding; repeat for more");
  command->footer(
      "Without a terminal the screens follow each other as plain text.\n"
      "Examples:\n"
      "  postern top\n"
      "  postern top --domain '*.example.net' --interval 5s\n"
      "  postern top --count 1 > snapshot.txt");
  command->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) { return RunTop(globals, *options); };
  });
}

}  // namespace postern::client

// `postern queues`, `postern connections` and `postern hooks`: what is there now.
#include <unistd.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "client/steer.h"
#include "client/terminal.h"
#include "client/watch.h"
#include "postern/v1/control.grpc.pb.h"
#include "postern/v1/hooks.grpc.pb.h"

namespace postern::client {
namespace {

using Table = std::vector<std::vector<std::string>>;

int RunQueues(const Globals& globals, const FilterOptions& options) {
  UnblockStopSignals();
  const auto stub = v1::Control::NewStub(Connect(globals));
  v1::ListQueuesRequest request;
  *request.mutable_filter() = BuildFilter(options);
  request.set_page_size(kPageSize);
  Table table = {{"QUEUE", "ACTIVE", "DELAYED", "OPEN", "DIALING", "OLDEST", "BACKOFF", "REASON",
                  "LAST FAILURE"}};
  std::vector<std::string> suspensions;
  do {
    grpc::ClientContext context;
    SetDeadline(context, globals);
    v1::ListQueuesResponse answer;
    const grpc::Status status = stub->ListQueues(&context, request, &answer);
    if (!status.ok()) return Report(status);
    for (const auto& queue : answer.queues()) {
      if (globals.json) std::cout << ToJson(queue) << "\n";
      table.push_back({PairName(queue.domain(), queue.binding()), absl::StrCat(queue.active()),
                       absl::StrCat(queue.delayed()), absl::StrCat(queue.open_connections()),
                       absl::StrCat(queue.dialing()),
                       queue.has_oldest_age() ? FormatDuration(queue.oldest_age()) : "-",
                       FormatTime(queue.backoff_until()), ShortName(queue.reason()),
                       FormatReply(queue.last_failure())});
    }
    for (const auto& suspension : answer.suspensions()) {
      suspensions.push_back(DescribeSuspension(suspension));
    }
    request.set_page_token(answer.next_page_token());
  } while (!request.page_token().empty());
  if (!globals.json) {
    std::cout << FormatTable(table, HasColours(STDOUT_FILENO));
    if (!suspensions.empty()) std::cout << "\nIn force:\n";
    for (const std::string& line : suspensions) std::cout << "  " << line << "\n";
  }
  std::cout << std::flush;
  return kOk;
}

// The first page brings them, however few queues are asked for.
int RunSuspensions(const Globals& globals) {
  UnblockStopSignals();
  v1::ListQueuesRequest request;
  request.set_page_size(1);
  v1::ListQueuesResponse answer;
  grpc::ClientContext context;
  SetDeadline(context, globals);
  const grpc::Status status =
      v1::Control::NewStub(Connect(globals))->ListQueues(&context, request, &answer);
  if (!status.ok()) return Report(status);
  for (const auto& suspension : answer.suspensions()) {
    std::cout << (globals.json ? ToJson(suspension) : DescribeSuspension(suspension)) << "\n";
  }
  std::cout << std::flush;
  return kOk;
}

int RunConnections(const Globals& globals, const FilterOptions& options) {
  UnblockStopSignals();
  const auto stub = v1::Control::NewStub(Connect(globals));
  v1::ListConnectionsRequest request;
  *request.mutable_filter() = BuildFilter(options);
  request.set_page_size(kPageSize);
  Table table = {{"CONNECTION", "QUEUE", "HOST", "ADDRESS", "STATE", "STAGE", "AGE", "DELIVERIES",
                  "ATTEMPTS"}};
  do {
    grpc::ClientContext context;
    SetDeadline(context, globals);
    v1::ListConnectionsResponse answer;
    const grpc::Status status = stub->ListConnections(&context, request, &answer);
    if (!status.ok()) return Report(status);
    for (const auto& open : answer.connections()) {
      if (globals.json) std::cout << ToJson(open) << "\n";
      const v1::Connection& connection = open.connection();
      table.push_back({connection.connection_id(),
                       PairName(connection.domain(), connection.binding()),
                       Printable(connection.mx_host()), connection.remote_address(),
                       ShortName(open.state()), ShortName(open.stage()), FormatDuration(open.age()),
                       absl::StrCat(open.deliveries()), absl::StrCat(open.attempts())});
    }
    request.set_page_token(answer.next_page_token());
  } while (!request.page_token().empty());
  if (!globals.json) std::cout << FormatTable(table);
  std::cout << std::flush;
  return kOk;
}

void PrintProviders(const v1::ListProvidersResponse& answer) {
  Table table = {{"HOOK", "PROVIDER", "KIND", "CALLS", "TOTAL", "SLOWEST", "NONZERO"}};
  for (const auto& chain : answer.chains()) {
    for (const auto& provider : chain.providers()) {
      table.push_back({chain.hook(), Printable(provider.name()), ShortName(provider.kind()),
                       absl::StrCat(provider.calls()), FormatDuration(provider.total_time()),
                       FormatDuration(provider.slowest()), absl::StrCat(provider.non_zero())});
    }
  }
  std::cout << FormatTable(table);
  Table remote = {{"CLIENT", "ASK", "STREAMS", "QUESTIONS", "ANSWERED", "DEFAULTS", "CANCELLED",
                   "EVENTS", "DROPPED"}};
  for (const auto& client : answer.remote()) {
    std::uint64_t defaults = 0;
    for (const auto& one : client.defaults()) defaults += one.count();
    remote.push_back({Printable(client.name()), ShortName(client.ask()),
                      absl::StrCat(client.streams_size()), absl::StrCat(client.questions()),
                      absl::StrCat(client.answered()), absl::StrCat(defaults),
                      absl::StrCat(client.cancelled()), absl::StrCat(client.events()),
                      absl::StrCat(client.events_dropped())});
  }
  if (remote.size() > 1) std::cout << "\n" << FormatTable(remote);
  std::cout << std::flush;
}

int RunHooks(const Globals& globals) {
  UnblockStopSignals();
  const auto stub = v1::Hooks::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::ListProvidersResponse answer;
  const grpc::Status status = stub->ListProviders(&context, v1::ListProvidersRequest(), &answer);
  if (!status.ok()) return Report(status);
  if (!globals.json) {
    PrintProviders(answer);
    return kOk;
  }
  for (const auto& chain : answer.chains()) std::cout << ToJson(chain) << "\n";
  for (const auto& client : answer.remote()) std::cout << ToJson(client) << "\n";
  std::cout << std::flush;
  return kOk;
}

// --domain and --binding only; lists have no kinds.
void AddPairOptions(CLI::App& command, FilterOptions& options) {
  command.add_option("--domain", options.domains,
                     "Only this domain; also '*.suffix'; repeat for more");
  command.add_option("--binding", options.bindings, "Only this binding; repeat for more");
}

}  // namespace

void AddLists(CLI::App& app, Invocation& invocation) {
  auto queue_options = std::make_shared<FilterOptions>();
  CLI::App* queues = app.add_subcommand("queues", "List queues and why their mail waits");
  AddPairOptions(*queues, *queue_options);
  auto suspensions = std::make_shared<bool>(false);
  CLI::Option* held =
      queues->add_flag("--suspensions", *suspensions,
                       "Instead: suspensions and policy holds in force, also where no queue is");
  held->excludes("--domain");
  held->excludes("--binding");
  queues->footer(
      "With --json one Queue per line, or one Suspension.\n"
      "Examples:\n"
      "  postern queues --domain '*.example.net'\n"
      "  postern queues --suspensions --json | jq -r .scope.domain");
  queues->callback([&invocation, queue_options, suspensions] {
    invocation.run = [queue_options, suspensions](const Globals& globals) {
      return *suspensions ? RunSuspensions(globals) : RunQueues(globals, *queue_options);
    };
  });

  auto connection_options = std::make_shared<FilterOptions>();
  CLI::App* connections = app.add_subcommand("connections", "List SMTP connections");
  AddPairOptions(*connections, *connection_options);
  connections->footer("Example:\n  postern connections --json | jq -r .connection.mx_host");
  connections->callback([&invocation, connection_options] {
    invocation.run = [connection_options](const Globals& globals) {
      return RunConnections(globals, *connection_options);
    };
  });

  CLI::App* hooks = app.add_subcommand("hooks", "List providers of each hook, and policy clients");
  hooks->footer(
      "With --json one Chain per hook, then one RemoteProvider per client name.\n"
      "Example:\n  postern hooks");
  hooks->callback([&invocation] { invocation.run = RunHooks; });
}

}  // namespace postern::client

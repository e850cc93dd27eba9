// `postern suspend`, `resume`, `fail`, `reroute` and `shutdown-connection`.
#include "client/steer.h"

#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "postern/v1/control.grpc.pb.h"

namespace postern::client {
namespace {

using ControlStub = v1::Control::Stub;

// One unary call of Control; prints the answer as JSON, or by `print`.
template <typename Request, typename Response, typename Print>
int Call(const Globals& globals,
         grpc::Status (ControlStub::*method)(grpc::ClientContext*, const Request&, Response*),
         const Request& request, Print print) {
  UnblockStopSignals();
  const auto stub = v1::Control::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  Response answer;
  const grpc::Status status = (stub.get()->*method)(&context, request, &answer);
  if (!status.ok()) return Report(status);
  if (globals.json) {
    std::cout << ToJson(answer) << std::endl;
  } else {
    print(answer);
    std::cout << std::flush;
  }
  return kOk;
}

int RunResume(const Globals& globals, const ScopeOptions& scope) {
  v1::ResumeRequest request;
  *request.mutable_scope() = BuildScope(scope);
  return Call(globals, &ControlStub::Resume, request, [](const v1::ResumeResponse& answer) {
    std::cout << CountOf(answer.queues(), "queue goes on\n", "queues go on\n");
    for (const v1::Suspension& suspension : answer.remaining()) {
      std::cout << "still suspended, by a wider scope: " << DescribeSuspension(suspension) << "\n";
    }
  });
}

void AddSuspend(CLI::App& app, Invocation& invocation) {
  struct Options {
    ScopeOptions scope;
    std::string reason;
    std::string duration;
  };
  auto options = std::make_shared<Options>();
  CLI::App* suspend = app.add_subcommand("suspend", "Stop delivery of a scope until resumed");
  AddScope(*suspend, options->scope, true);
  suspend->add_option("--reason", options->reason, "Why; shown to everyone who asks")->required();
  suspend->add_option("--for", options->duration, "Resume by itself after so long")
      ->check(CheckDuration);
  suspend->footer(
      "Mail is taken and waits, sessions end after their transaction, expiry runs on. Survives a\n"
      "restart. Queues that appear later are suspended too.\n"
      "Examples:\n"
      "  postern suspend '*.example.net' --reason 'their maintenance' --for 2h\n"
      "  postern suspend '*' --binding pool-1 --reason 'address is listed'");
  suspend->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) {
      v1::SuspendRequest request;
      *request.mutable_scope() = BuildScope(options->scope);
      request.set_reason(options->reason);
      if (!options->duration.empty()) {
        *request.mutable_duration() = *ParseDuration(options->duration);
      }
      return Call(globals, &ControlStub::Suspend, request, [](const v1::SuspendResponse& answer) {
        std::cout << CountOf(answer.queues(), "queue stops\n", "queues stop\n");
      });
    };
  });

  auto scope = std::make_shared<ScopeOptions>();
  CLI::App* resume = app.add_subcommand("resume", "End suspensions and policy holds of a scope");
  AddScope(*resume, *scope, true);
  resume->footer(
      "Ends those that lie within the scope; a wider one stays and is named.\n"
      "Examples:\n  postern resume example.net\n  postern resume '*'");
  resume->callback([&invocation, scope] {
    invocation.run = [scope](const Globals& globals) { return RunResume(globals, *scope); };
  });
}

void AddFail(CLI::App& app, Invocation& invocation) {
  struct Options {
    ScopeOptions scope;
    std::string reply;
    bool dry_run = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* fail = app.add_subcommand("fail", "Fail the queued mail of a scope");
  AddScope(*fail, options->scope, true);
  fail->add_option("--reply", options->reply,
                   "The reply to record; default '550 5.7.1 failed by an operator'")
      ->check([](const std::string& text) {
        return ParseFailReply(text) ? "" : "does not begin with a code of 500 to 599";
      });
  fail->add_flag("--dry-run", options->dry_run, "Only count what would be failed");
  fail->footer(
      "There is no way back. Rows in a session are left alone.\n"
      "Examples:\n"
      "  postern fail gone.example --dry-run\n"
      "  postern fail gone.example --reply '550 5.1.2 the domain is gone'");
  fail->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) {
      v1::FailRequest request;
      *request.mutable_scope() = BuildScope(options->scope);
      if (!options->reply.empty()) *request.mutable_reply() = *ParseFailReply(options->reply);
      request.set_dry_run(options->dry_run);
      const char* what = options->dry_run ? " would be failed\n" : " failed\n";
      return Call(globals, &ControlStub::Fail, request, [what](const v1::FailResponse& answer) {
        std::cout << CountOf(answer.rows(), "row", "rows") << what;
      });
    };
  });
}

void AddReroute(CLI::App& app, Invocation& invocation) {
  struct Options {
    ScopeOptions scope;
    std::string to;
  };
  auto options = std::make_shared<Options>();
  CLI::App* reroute = app.add_subcommand("reroute", "Move queued mail to another binding");
  AddScope(*reroute, options->scope, true);
  reroute->add_option("--to", options->to, "The binding to move it to")->required();
  reroute->footer(
      "Attempts and deadlines stay. Rows in a session are left alone.\n"
      "Example:\n  postern reroute '*' --binding pool-1 --to pool-2");
  reroute->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) {
      v1::RerouteRequest request;
      *request.mutable_scope() = BuildScope(options->scope);
      request.set_to_binding(options->to);
      return Call(globals, &ControlStub::Reroute, request, [](const v1::RerouteResponse& answer) {
        std::cout << CountOf(answer.rows(), "row moved\n", "rows moved\n");
      });
    };
  });
}

void AddShutdownConnection(CLI::App& app, Invocation& invocation) {
  auto request = std::make_shared<v1::ShutdownConnectionRequest>();
  auto id = std::make_shared<std::string>();
  auto reason = std::make_shared<std::string>();
  auto now = std::make_shared<bool>(false);
  CLI::App* shutdown = app.add_subcommand("shutdown-connection", "End one SMTP session");
  shutdown->add_option("id", *id, "Connection id, as `postern connections` prints it")->required();
  shutdown->add_option("--reason", *reason, "Kept with the close of the session");
  shutdown->add_flag("--now", *now, "Break it instead of waiting for its transaction to end");
  shutdown->footer(
      "The queue may open another connection at once.\n"
      "Example:\n  postern shutdown-connection 0f3c5d0a9b8e4c7fa1d2e3f405162738 --reason 'stuck'");
  shutdown->callback([&invocation, request, id, reason, now] {
    request->set_connection_id(*id);
    request->set_reason(*reason);
    request->set_now(*now);
    invocation.run = [request](const Globals& globals) {
      return Call(globals, &ControlStub::ShutdownConnection, *request,
                  [](const v1::ShutdownConnectionResponse&) { std::cout << "asked to end\n"; });
    };
  });
}

}  // namespace

std::string CountOf(std::uint64_t n, const char* one, const char* many) {
  return absl::StrCat(n, " ", n == 1 ? one : many);
}

void AddScope(CLI::App& command, ScopeOptions& options, bool required) {
  command
      .add_option("domain", options.domain,
                  "A receiving domain, '*.suffix', or '*' for all; behind a gateway its host:port")
      ->required(required);
  command.add_option("--binding", options.binding, "Only this binding");
}

v1::Scope BuildScope(const ScopeOptions& options) {
  v1::Scope scope;
  scope.set_domain(options.domain);
  scope.set_binding(options.binding);
  return scope;
}

std::optional<v1::Reply> ParseFailReply(absl::string_view text) {
  v1::Reply reply;
  int code = 0;
  if (text.size() < 3 || !absl::SimpleAtoi(text.substr(0, 3), &code) || code < 500 || code > 599 ||
      (text.size() > 3 && text[3] != ' ')) {
    return std::nullopt;
  }
  reply.set_code(code);
  absl::string_view rest = absl::StripAsciiWhitespace(text.substr(3));
  const absl::string_view first = rest.substr(0, rest.find(' '));
  const bool enhanced = first.size() >= 5 && first.substr(0, 2) == "5." &&
                        first.find_first_not_of("0123456789.") == absl::string_view::npos;
  if (enhanced) {
    reply.set_enhanced_status(std::string(first));
    rest = absl::StripAsciiWhitespace(rest.substr(first.size()));
  }
  reply.set_text(std::string(rest));
  return reply;
}

std::string DescribeSuspension(const v1::Suspension& suspension) {
  const std::string scope =
      suspension.scope().binding().empty()
          ? suspension.scope().domain()
          : absl::StrCat(suspension.scope().domain(), "/", suspension.scope().binding());
  return Printable(absl::StrCat(scope, ": ", ShortName(suspension.kind()), " by ", suspension.who(),
                                " until ",
                                suspension.has_until() ? FormatTime(suspension.until()) : "resumed",
                                ": ", suspension.reason()));
}

void AddSteer(CLI::App& app, Invocation& invocation) {
  AddSuspend(app, invocation);
  AddFlush(app, invocation);
  AddFail(app, invocation);
  AddReroute(app, invocation);
  AddShutdownConnection(app, invocation);
}

}  // namespace postern::client

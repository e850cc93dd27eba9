// What the subcommands of `postern` share: the global options, the channel, errors and Ctrl-C.
//
// A group of subcommands is one file with an Add... function. Parsing only chooses what to run:
// each Add... function leaves its command in Invocation::run, and main() runs it. So arguments can
// be tested without a server.
#pragma once

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "client/connection.h"

namespace postern::client {

// Exit codes of the program.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;  // the server said no, or could not be reached
inline constexpr int kUsage = 2;   // the arguments make no sense

// Entries that a page of a list may have: the most that the server gives (control.proto).
inline constexpr int kPageSize = 1000;

struct Globals {
  Connection connection;
  bool json = false;            // --json: one protobuf-JSON object per line
  std::string timeout = "30s";  // --timeout: of a call that answers once; ParseDuration()
};

// The parsed command line. `run` returns the exit code.
struct Invocation {
  Globals globals;
  std::function<int(const Globals&)> run;
};

// Global options, and all subcommands. `invocation` must outlive `app`.
void AddEverything(CLI::App& app, Invocation& invocation);

void AddSubmit(CLI::App& app, Invocation& invocation);
void AddMessages(CLI::App& app, Invocation& invocation);  // message, messages
void AddOutcomes(CLI::App& app, Invocation& invocation);
void AddWatch(CLI::App& app, Invocation& invocation);
void AddDecide(CLI::App& app, Invocation& invocation);
void AddVerdict(CLI::App& app, Invocation& invocation);  // verdict scope, connection
void AddLists(CLI::App& app, Invocation& invocation);    // queues, connections, hooks
void AddOperate(CLI::App& app, Invocation& invocation);  // drain, health
void AddConfig(CLI::App& app, Invocation& invocation);   // config get, check, apply, revert
void AddSwitch(CLI::App& app, Invocation& invocation);   // switch on, off, force-keep, show
void AddTop(CLI::App& app, Invocation& invocation);
void AddCompletion(CLI::App& app, Invocation& invocation);
void AddSteer(CLI::App& app, Invocation& invocation);  // suspend, resume, fail, ...; calls AddFlush
void AddFlush(CLI::App& app, Invocation& invocation);
void AddSettle(CLI::App& app, Invocation& invocation);  // cancel, resolve

inline std::shared_ptr<grpc::Channel> Connect(const Globals& globals) {
  return Connect(globals.connection);
}

// Deadline of a call that answers once: --timeout from now. Streams have none.
void SetDeadline(grpc::ClientContext& context, const Globals& globals);

// Writes "postern: CODE: message" to stderr, and what may help; says what to do about a deadline
// that has passed. Returns kFailed, or kOk for an OK status.
int Report(const grpc::Status& status);

// Calls `on_signal` on a thread of its own at the first SIGINT or SIGTERM while it lives. The
// signals must be blocked in the whole process: BlockStopSignals() as main's first statement.
class SignalWatch {
 public:
  explicit SignalWatch(std::function<void()> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  std::thread thread_;
};

// SignalWatch for who waits between calls; a second Ctrl-C ends the program at once.
class Interruption {
 public:
  // True as soon as, or if, a signal has come; false after `time`.
  bool WaitFor(std::chrono::nanoseconds time);

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool came_ = false;
  const SignalWatch watch_{[this] {
    const std::lock_guard<std::mutex> lock(mu_);
    came_ = true;
    changed_.notify_all();
  }};
};

void BlockStopSignals();

// Undoes BlockStopSignals(): Ctrl-C ends the program as usual. For commands without a stream.
void UnblockStopSignals();

}  // namespace postern::client

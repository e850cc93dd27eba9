// postern: the command line of the service.
#include <iostream>

#include "client/command.h"

namespace {

// The word where a command is expected and none of that name exists; CLI11 would only say that a
// command is missing. Null: that is not what is wrong.
const char* UnknownCommand(const CLI::App& app, int argc, char** argv) {
  if (!app.get_subcommands().empty()) return nullptr;
  // Behind an option it may be that option's value.
  return argc > 1 && argv[1][0] != '-' ? argv[1] : nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  // Before gRPC starts its threads, so that all of them leave Ctrl-C to SignalWatch.
  postern::client::BlockStopSignals();
  CLI::App app("", "postern");
  postern::client::Invocation invocation;
  postern::client::AddEverything(app, invocation);
  try {
    app.parse(argc, argv);
    return invocation.run(invocation.globals);
  } catch (const CLI::ParseError& error) {
    if (const char* word = UnknownCommand(app, argc, argv)) {
      std::cerr << "postern: there is no command \"" << word << "\"; see postern --help\n";
      return postern::client::kUsage;
    }
    return app.exit(error) == 0 ? postern::client::kOk : postern::client::kUsage;
  }
}

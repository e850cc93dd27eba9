// postern: the command line of the service.
#include <iostream>

#include "client/command.h"

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
    return app.exit(error) == 0 ? postern::client::kOk : postern::client::kUsage;
  }
}

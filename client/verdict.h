// `postern verdict`: a verdict ahead of any question, without a stream.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "client/steer.h"
#include "postern/v1/hooks.pb.h"

namespace postern::client {

// What follows a SHUTDOWN; `decide` has it, too.
struct ThenOptions {
  std::string action;    // "", "hold", "avoid-host"
  std::string duration;  // with an action; checked by ParseDuration()
};

// Adds --then and --for to `command`, which need each other; returns --then. `options` must outlive
// the command.
CLI::Option* AddThenOptions(CLI::App& command, ThenOptions& options);

// Sets verdict.then; nothing without an action.
void SetThen(const ThenOptions& options, v1::Verdict& verdict);

struct VerdictOptions {
  std::string name = "cli";            // of the provider
  ScopeOptions scope;                  // either this
  std::string connection;              // or its id
  std::uint32_t after_deliveries = 0;  // 0 = not given
  std::string after_age;               // "" = not given
  bool recycle = false;                // scope only
  bool keep = false;                   // connection only
  bool withdraw = false;
  std::string ttl;             // scope; "" = the server's
  std::uint64_t revision = 0;  // scope; 0 = the time, so that the latest call wins
  std::string reason;
  ThenOptions then;
};

// Of one verdict. `now_ms`: the time since 1970, for a scope without a revision.
v1::PostVerdictsRequest BuildPostVerdicts(const VerdictOptions& options, std::uint64_t now_ms);

}  // namespace postern::client

// Commands that change something: arguments to requests, answers to text.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "postern/v1/control.pb.h"
#include "postern/v1/types.pb.h"

namespace postern::client {

struct ScopeOptions {
  std::string domain;
  std::string binding;
};

// Adds the positional DOMAIN and --binding to `command`; `options` must outlive it.
void AddScope(CLI::App& command, ScopeOptions& options, bool required);

v1::Scope BuildScope(const ScopeOptions& options);

// "1 row", "2 rows".
std::string CountOf(std::uint64_t n, const char* one, const char* many);

// "550 5.7.1 not wanted", "550 not wanted" or "550" as a reply; nullopt: it does not begin with a
// code of 500 to 599.
std::optional<v1::Reply> ParseFailReply(absl::string_view text);

// "*.example.net/pool-1: suspended by local until 14:03:59.120: maintenance".
std::string DescribeSuspension(const v1::Suspension& suspension);

}  // namespace postern::client

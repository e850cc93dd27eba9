// `postern watch`: arguments to request; and what `decide` shares with it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include <vector>

#include "absl/strings/string_view.h"
#include "postern/v1/hooks.pb.h"

namespace postern::client {

struct FilterOptions {
  std::string kinds = "all";  // as ParseKinds() takes it
  std::vector<std::string> domains;
  std::vector<std::string> bindings;
};

struct WatchOptions {
  FilterOptions filter;
  std::uint64_t count = 0;  // 0 = no end
  std::string after;        // "" = from now on
  bool snapshot = false;
};

// Adds --events, --domain, --binding to `command`; `options` must outlive it.
void AddFilterOptions(CLI::App& command, FilterOptions& options);

v1::Filter BuildFilter(const FilterOptions& options);
v1::WatchRequest BuildWatch(const WatchOptions& options);

// "EPOCH:SEQUENCE", both decimal.
std::optional<v1::Cursor> ParseCursor(absl::string_view text);

// Prints the events of a frame, one per line, until *seen reaches `limit` (0 = no limit); counts
// them in *seen.
void PrintEvents(bool json, v1::Events* events, std::uint64_t limit, std::uint64_t* seen);

}  // namespace postern::client

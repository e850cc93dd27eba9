// `postern top`: what one screen shows, apart from the terminal.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "postern/v1/control.pb.h"
#include "postern/v1/hooks.pb.h"

namespace postern::client {

// What the events said since the screen before.
struct Rates {
  double seconds = 0;
  std::uint64_t delivered = 0, deferred = 0, failed = 0;  // recipients
  std::uint64_t keeps = 0, shutdowns = 0;                 // verdicts
  std::uint64_t opened = 0, refused = 0;                  // attempts to connect
};

// Counts an event in.
void Count(const v1::Event& event, Rates& rates);

struct Screen {
  std::vector<v1::Queue> queues;
  std::vector<v1::OpenConnection> connections;
  v1::ListProvidersResponse hooks;
  Rates rates;
  std::string no_events;  // why the rates and verdicts are not known (any more); empty: they are
  std::deque<std::string> verdicts;  // the latest, one line each, oldest first
};

// At most `height` lines of at most `width` columns; queues with most mail first, connections with
// most deliveries first. `bold` around the headings: only for a terminal.
std::string Draw(const Screen& screen, const std::string& server, std::size_t width,
                 std::size_t height, bool bold);

}  // namespace postern::client

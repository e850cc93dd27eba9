// `postern top`: what one screen shows, apart from the terminal.
#pragma once

#include <grpcpp/support/status.h>

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
  bool more_queues = false, more_connections = false;  // than are shown and counted
  v1::ListProvidersResponse hooks;
  Rates rates;
  std::string no_events;  // why the rates and verdicts are not known (any more); empty: they are
  std::deque<std::string> verdicts;  // the latest, one line each, oldest first
};

// Pages of a list that one screen is made of: a service with a million queues must not keep a
// terminal waiting.
inline constexpr int kMostPages = 20;

// Asks `list(request, &answer)` for page after page, hands each to `take(answer)`, and has *more
// say whether there would have been another one. The first status that is not OK ends it.
template <class Answer, class Request, class List, class Take>
grpc::Status ForEachPage(Request request, List list, Take take, bool* more) {
  for (int page = 0; page < kMostPages; ++page) {
    Answer answer;
    if (grpc::Status status = list(request, &answer); !status.ok()) return status;
    take(answer);
    request.set_page_token(answer.next_page_token());
    *more = !request.page_token().empty();
    if (!*more) break;
  }
  return grpc::Status::OK;
}

// At most `height` lines of at most `width` columns; queues with most mail first, connections with
// most deliveries first. `bold` around the headings: only for a terminal.
std::string Draw(const Screen& screen, const std::string& server, std::size_t width,
                 std::size_t height, bool bold);

}  // namespace postern::client

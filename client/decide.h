// `postern decide`: a policy client in a few options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/verdict.h"
#include "client/watch.h"
#include "postern/v1/hooks.pb.h"

namespace postern::client {

struct DecideOptions {
  std::string name = "cli";
  FilterOptions filter{.kinds = "connection", .domains = {}, .bindings = {}};
  std::uint32_t shutdown_after = 0;  // deliveries; 0 = always KEEP
  bool ahead = false;                // standing verdicts on events instead of answers to questions
  std::string ask;                   // "", "sync", "async", "standing"
  std::string timeout;               // "" = the server's
  std::string default_verdict;       // "", "keep", "shutdown"
  int priority = 0;
  bool shadow = false;  // asked, compared, never heeded
  ThenOptions then;     // what follows a SHUTDOWN
};

// The first frame of the conversation. With `ahead`: asks nothing, subscribes to the connection
// event and begins with a snapshot, so that no connection is missed.
v1::DecideRequest BuildAttach(const DecideOptions& options);

// What this client thinks. Numbers its verdicts; one object per stream.
class Judge {
 public:
  explicit Judge(const DecideOptions& options) : options_(options) {}

  // SHUTDOWN from `shutdown_after` deliveries on, else KEEP.
  v1::Verdict Answer(const v1::Question& question);

  // The standing verdict for a connection that was just opened; nullopt without `ahead`, and when
  // there is nothing to end.
  std::optional<v1::Verdict> Ahead(const std::string& connection_id);

 private:
  v1::Verdict Shutdown();

  const DecideOptions options_;
  std::uint64_t next_id_ = 1;
};

// Everything that the client has to say to a frame of the server: verdicts, acknowledgement. Empty
// messages are left out.
std::vector<v1::DecideRequest> Respond(Judge& judge, const v1::DecideResponse& frame);

}  // namespace postern::client

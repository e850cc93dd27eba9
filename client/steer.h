// Commands that change something: arguments to requests, answers to text.
#pragma once

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

v1::Scope BuildScope(const ScopeOptions& options);

// "550 5.7.1 not wanted", "550 not wanted" or "550" as a reply; nullopt: it does not begin with a
// code of 500 to 599.
std::optional<v1::Reply> ParseFailReply(absl::string_view text);

// "*.example.net/pool-1: suspended by local until 14:03:59.120: maintenance".
std::string DescribeSuspension(const v1::Suspension& suspension);

}  // namespace postern::client

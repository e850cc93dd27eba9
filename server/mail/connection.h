// ConnectionInfo: who is connected with whom. Minted when an attempt to connect begins.
#pragma once

#include <memory>
#include <string>

#include "server/base/ids.h"
#include "server/mail/row.h"

namespace postern::mail {

struct ConnectionInfo {
  base::Id id;
  std::shared_ptr<const PairKey> pair;
  int binding_slot = 0;
  std::string mx_host;         // empty if the attempt never reached a host
  std::string remote_address;  // "192.0.2.1:25", "[2001:db8::1]:25", or empty
  std::string local_address;   // the same, once connected
};

}  // namespace postern::mail

// LocalFault: what of this machine kept a connection from being made. No fault of the host's.
#pragma once

namespace postern::net {

enum class LocalFault : unsigned char {
  kNone = 0,  // the host's or the network's, or none at all
  kMachine,   // no descriptor, no socket option
  kSource,    // the source address is not of this machine, or has no port left
  kFamily,    // no such address family here, or no route to the address
};

}  // namespace postern::net

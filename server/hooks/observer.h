// SessionObserver: what happens on connections, told as it happens. SessionControl: the way back.
//
// Both are seams: delivery tells, the bridge listens, and neither knows the other.
// Thread: an observer is called on the scheduler thread of the pair and must not block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/hooks/records.h"

namespace postern::hooks {

struct SessionReady {
  std::vector<std::string> capabilities;  // EHLO keywords with their parameters
  bool tls = false;
  std::string tls_version, tls_cipher;
  bool tls_verified = false;
};

struct ConnectionClosed {
  mail::CloseCause cause = mail::CloseCause::kIdle;
  std::string provider;  // module or remote policy, for kHook and kRemotePolicy
  std::string detail;    // its reason, or the peer's reply, or the system's error
  std::uint64_t deliveries = 0;
  std::uint64_t attempts = 0;
  std::uint64_t bytes = 0;
  absl::Duration lifetime;
};

class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  // A session opened TCP and was told to the chain post_initiate_connection_smtp: it will get
  // exactly one OnConnectionClosed. OnSessionReady comes after EHLO.
  virtual void OnSessionReady(const mail::ConnectionInfo& connection,
                              const SessionReady& ready) = 0;
  virtual void OnDeliveryAttempt(const mail::ConnectionInfo& connection,
                                 const AttemptReport& report) = 0;
  virtual void OnConnectionClosed(const mail::ConnectionInfo& connection,
                                  const ConnectionClosed& closed) = 0;
};

class SessionControl {
 public:
  virtual ~SessionControl() = default;
  // Asks the session of this connection to end at its next transaction boundary: at once when no
  // transaction is open. Does nothing if the connection is gone. Thread: any; never blocks.
  virtual void RequestShutdown(const mail::ConnectionInfo& connection, ShutdownVerdict verdict) = 0;
};

}  // namespace postern::hooks

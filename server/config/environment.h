// Environment: variables that go before the configuration file, so that an image or a unit can be
// pointed at addresses and paths without a file of its own. Load() applies them; a reload too.
//
// They are few on purpose: what is not an address, a path, a name or the log's level belongs in the
// file. An empty variable counts as not set; other variables that begin with POSTERN_ are none of
// ours (Kubernetes makes some for every Service).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/config/config.h"

namespace postern::config {

// Puts what the variables say over `loaded`, with a line in loaded.notes for each that is in force.
//
//   POSTERN_SPOOL_DIRECTORY, POSTERN_HTTP_LISTENER, POSTERN_HOSTNAME, POSTERN_LOG_LEVEL
//       the field of `server` of that name.
//   POSTERN_GRPC_LISTENER
//       addresses, separated by commas: all there are, in place of server.grpc_listeners.
//   POSTERN_TLS_CERTIFICATE_FILE, POSTERN_TLS_KEY_FILE, POSTERN_TLS_CLIENT_CA_FILE
//       the field of `tls` of that name, for every gRPC listener that is not a unix socket.
//   POSTERN_TLS_DIRECTORY
//       for images: if it holds tls.crt, then tls.crt, tls.key and ca.crt there are the three files
//       for each TCP listener that has no `tls`; and unless POSTERN_GRPC_LISTENER or the file says
//       where TLS is served, that is [::]:9090 in place of the TCP listeners of the file. If it
//       does not, a note says what to mount.
//   POSTERN_DISPOSITION_LOG, POSTERN_AUDIT_LOG, POSTERN_SWITCH_FILE
//       server.disposition_log.path, policy.audit_log.path and policy.switch_file.
//
// INVALID_ARGUMENT, with one line "VARIABLE: cause" for each error. REQUIRES: Check(loaded.config)
// is OK. Thread: any, while nobody changes the environment.
absl::StatusOr<LoadedConfig> ApplyEnvironment(const Environment& environment, LoadedConfig loaded);

// The variables with a line each, as --help prints them.
std::string EnvironmentHelp();

}  // namespace postern::config

// Credentials: what a TLS listener shows its clients and asks of them, from files that may change.
//
// The files are looked at whenever a client connects: what has changed since is in force from that
// connection on. If what is there cannot be used (between the renames of a certificate and its
// key), what was in force stays, and the log says so. Thread: any.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace postern::rpc {

struct TlsOptions {
  std::string certificate_file;  // PEM: the server's, then those between it and the root
  std::string key_file;          // PEM, without a passphrase
  std::string client_ca_file;    // PEM; empty: clients are asked for no certificate
  bool require_client_certificate = false;
};

// INVALID_ARGUMENT beginning with the key at fault ("key_file: /etc/key.pem: cannot be read: No
// such file or directory"): missing, unreadable, not PEM, or certificate and key do not belong
// together.
absl::Status CheckTlsFiles(const TlsOptions& options);

// REQUIRES: the credentials outlive the server that they are given to.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(TlsOptions options);

}  // namespace postern::rpc

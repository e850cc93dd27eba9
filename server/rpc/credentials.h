// Credentials: what a TLS listener shows its clients and asks of them, from files that may change.
//
// The files are looked at whenever a client connects: what has changed since is in force from that
// connection on. If what is there cannot be used (between the renames of a certificate and its
// key), what was in force stays, and the log says so. Thread: any, unless it says otherwise.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <sys/stat.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

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

// The texts of the files, read again when they have changed. Thread: one at a time.
class PemFiles {
 public:
  struct Pem {
    std::string certificate, key, client_ca;
  };

  explicit PemFiles(TlsOptions options) : options_(std::move(options)) {}

  // nullopt: nothing has changed since they were read. An error: they cannot be read now, which the
  // next call tries again, also if nothing else has changed (there may have been no descriptor
  // left). The log tells of both, of the same error once a minute. `now`: of Queue::Now.
  absl::StatusOr<std::optional<Pem>> ReadIfChanged(absl::Time now);

 private:
  // What tells one state of a file from another, also when it was put in place of the other.
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    timespec changed{};

    bool operator==(const Stamp& other) const {
      return device == other.device && inode == other.inode && size == other.size &&
             changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
    }
  };
  static Stamp StampOf(const std::string& path);

  const TlsOptions options_;
  std::optional<std::array<Stamp, 3>> read_;  // of what was read last
  absl::Status logged_;                       // the error of the last line
  absl::Time next_line_ = absl::InfinitePast();
};

// REQUIRES: the credentials outlive the server that they are given to.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsOptions& options);

}  // namespace postern::rpc

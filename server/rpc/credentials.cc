#include "server/rpc/credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/rpc/cq.h"

namespace postern::rpc {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr char kCertificate[] = "-----BEGIN CERTIFICATE-----";
constexpr char kKey[] = "PRIVATE KEY-----";
// Every client that connects finds the same fault.
constexpr absl::Duration kLineInterval = absl::Minutes(1);

using Pem = PemFiles::Pem;

// A file, PEM of this kind. INVALID_ARGUMENT beginning with `key`.
absl::StatusOr<std::string> ReadPem(const char* key, const std::string& path, const char* kind) {
  const auto refuse = [&](absl::string_view cause) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": ", path, ": ", cause));
  };
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (file == nullptr) return refuse(absl::StrCat("cannot be read: ", std::strerror(errno)));
  std::string text(kMostBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return refuse(absl::StrCat("cannot be read: ", std::strerror(errno)));
  }
  if (text.size() > kMostBytes) return refuse("more than 1 MiB");
  if (!absl::StrContains(text, kind)) {
    return refuse(absl::StrCat("is not PEM with \"", kind, "\""));
  }
  return text;
}

absl::StatusOr<Pem> ReadAll(const TlsOptions& options) {
  Pem pem;
  absl::StatusOr<std::string> text =
      ReadPem("certificate_file", options.certificate_file, kCertificate);
  if (!text.ok()) return text.status();
  pem.certificate = *std::move(text);
  text = ReadPem("key_file", options.key_file, kKey);
  if (!text.ok()) return text.status();
  pem.key = *std::move(text);
  if (options.client_ca_file.empty()) return pem;
  text = ReadPem("client_ca_file", options.client_ca_file, kCertificate);
  if (!text.ok()) return text.status();
  pem.client_ca = *std::move(text);
  return pem;
}

grpc_ssl_server_certificate_config* ToConfig(const Pem& pem) {
  const grpc_ssl_pem_key_cert_pair pair{pem.key.c_str(), pem.certificate.c_str()};
  // A fetched configuration must have CAs, also where clients are asked for nothing.
  const std::string& roots = pem.client_ca.empty() ? pem.certificate : pem.client_ca;
  return grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
}

// Only a server's port makes gRPC parse certificates: one on an abstract socket that nobody knows.
bool Usable(const Pem& pem) {
  static std::atomic<int> probes{0};
  const std::string address =
      absl::StrCat("unix-abstract:postern-certificates-", getpid(), "-", probes.fetch_add(1));
  grpc_init();
  grpc_server_credentials* const credentials = grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config(
          GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, ToConfig(pem)));
  grpc_server* const server = grpc_server_create(nullptr, nullptr);
  grpc_completion_queue* const queue = grpc_completion_queue_create_for_pluck(nullptr);
  grpc_server_register_completion_queue(server, queue, nullptr);
  const bool usable = grpc_server_add_http2_port(server, address.c_str(), credentials) != 0;
  grpc_server_start(server);
  grpc_server_shutdown_and_notify(server, queue, nullptr);
  grpc_completion_queue_pluck(queue, nullptr, gpr_inf_future(GPR_CLOCK_REALTIME), nullptr);
  grpc_server_destroy(server);
  grpc_server_credentials_release(credentials);
  grpc_completion_queue_shutdown(queue);
  grpc_completion_queue_destroy(queue);
  grpc_shutdown();
  return usable;
}

class TlsCredentials final : public grpc::ServerCredentials {
 public:
  explicit TlsCredentials(const TlsOptions& options) : files_(options) {
    grpc_ssl_client_certificate_request_type request = GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    if (!options.client_ca_file.empty()) {
      request = options.require_client_certificate
                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                    : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    }
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(request, &Fetch, this));
  }
  ~TlsCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // Before each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<TlsCredentials*>(self)->FetchChanged(config);
  }

  grpc_ssl_certificate_config_reload_status FetchChanged(
      grpc_ssl_server_certificate_config** config) {
    base::MutexLock lock(mu_);
    const absl::StatusOr<std::optional<Pem>> pem = files_.ReadIfChanged(Queue::Now());
    // A failure was logged; told of it, gRPC would say so again for each client, and do the same.
    if (!pem.ok() || !pem->has_value()) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    // Of a pair that does not fit together gRPC says so in the log, and keeps what it has.
    *config = ToConfig(**pem);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  grpc_server_credentials* credentials_ = nullptr;
  base::Mutex mu_;
  PemFiles files_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<std::optional<Pem>> PemFiles::ReadIfChanged(absl::Time now) {
  // Before they are read: what changes meanwhile is seen by the next call.
  const std::array<Stamp, 3> stamps = {StampOf(options_.certificate_file),
                                       StampOf(options_.key_file),
                                       StampOf(options_.client_ca_file)};
  if (stamps == read_) return std::nullopt;
  absl::StatusOr<Pem> pem = ReadAll(options_);
  if (!pem.ok()) {
    if (pem.status() != logged_ || now >= next_line_) {
      base::Log().error("rpc: tls: {}; what was in force stays", pem.status().message());
      logged_ = pem.status();
      next_line_ = now + kLineInterval;
    }
    return pem.status();
  }
  if (read_.has_value()) {
    base::Log().info("rpc: tls: {} or its key has changed", options_.certificate_file);
  }
  read_ = stamps;
  logged_ = absl::OkStatus();
  return *std::move(pem);
}

PemFiles::Stamp PemFiles::StampOf(const std::string& path) {
  struct stat info {};
  if (path.empty() || stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, info.st_ctim};
}

absl::Status CheckTlsFiles(const TlsOptions& options) {
  absl::StatusOr<Pem> pem = ReadAll(options);
  if (!pem.ok()) return pem.status();
  const std::string client_ca = std::exchange(pem->client_ca, "");
  if (!Usable(*pem)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "key_file: ", options.key_file, ": does not belong to ", options.certificate_file,
        ", needs a passphrase, or one of the two is damaged"));
  }
  if (client_ca.empty()) return absl::OkStatus();
  pem->client_ca = client_ca;
  if (Usable(*pem)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("client_ca_file: ", options.client_ca_file,
                                                 ": holds no certificate that can be read"));
}

std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsOptions& options) {
  return std::make_shared<TlsCredentials>(options);
}

}  // namespace postern::rpc

#include "client/connection.h"

#include <grpcpp/support/client_interceptor.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace postern::client {
namespace {

// Frames of ListMessages and Events may exceed gRPC's default of 4 MiB.
constexpr int kMaxReceiveBytes = 64 << 20;

// The content of the file that `option` names.
std::string ReadFile(const std::string& option, const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)), {});
  if (!file.is_open() || file.bad() || content.empty()) {
    const std::string cause = errno != 0 ? std::strerror(errno) : "is empty";
    throw CLI::ValidationError(option, path + ": " + cause);
  }
  return content;
}

// Adds `authorization: Bearer TOKEN` to every call; gRPC's own call credentials refuse plaintext,
// also over a unix socket.
class TokenInterceptor final : public grpc::experimental::Interceptor {
 public:
  explicit TokenInterceptor(const std::string& header) : header_(header) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", header_);
    }
    methods->Proceed();
  }

 private:
  const std::string& header_;
};

class TokenInterceptorFactory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptorFactory(std::string header) : header_(std::move(header)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo*) override {
    return new TokenInterceptor(header_);
  }

 private:
  const std::string header_;
};

std::shared_ptr<grpc::ChannelCredentials> Credentials(const Connection& connection) {
  const bool tls = connection.tls || !connection.tls_ca.empty() ||
                   !connection.tls_certificate.empty() || !connection.tls_key.empty() ||
                   !connection.tls_server_name.empty();
  if (!tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  if (!connection.tls_ca.empty()) {
    options.pem_root_certs = ReadFile("--tls-ca", connection.tls_ca);
  }
  if (connection.tls_certificate.empty() != connection.tls_key.empty()) {
    throw CLI::ValidationError("--tls-certificate", "goes with --tls-key");
  }
  if (!connection.tls_certificate.empty()) {
    options.pem_cert_chain = ReadFile("--tls-certificate", connection.tls_certificate);
    options.pem_private_key = ReadFile("--tls-key", connection.tls_key);
  }
  return grpc::SslCredentials(options);
}

}  // namespace

void AddConnectionOptions(CLI::App& app, Connection& connection) {
  const auto add = [&](const char* name, std::string& value, const char* variable,
                       const char* help) {
    return app.add_option(name, value, help)->envname(variable)->group("Connection");
  };
  add("--address", connection.address, "POSTERN_ADDRESS",
      "Address of posternd's gRPC listener: HOST:PORT or unix:PATH")
      ->capture_default_str();
  app.add_flag("--tls", connection.tls, "Speak TLS; implied by the options that follow")
      ->group("Connection");
  add("--tls-ca", connection.tls_ca, "POSTERN_TLS_CA",
      "PEM file with the CAs that vouch for the server; default: the system's");
  add("--tls-certificate", connection.tls_certificate, "POSTERN_TLS_CERTIFICATE",
      "PEM file with our certificate");
  add("--tls-key", connection.tls_key, "POSTERN_TLS_KEY", "PEM file with its private key");
  add("--tls-server-name", connection.tls_server_name, "POSTERN_TLS_SERVER_NAME",
      "Name that the server's certificate must have, when it is not that of the address");
  add("--token-file", connection.token_file, "POSTERN_TOKEN_FILE",
      "File with the token that says who we are");
}

std::shared_ptr<grpc::Channel> Connect(const Connection& connection) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // A proxy variable of the environment must not redirect control of the mail system.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!connection.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(connection.tls_server_name);
  }
  const std::shared_ptr<grpc::ChannelCredentials> credentials = Credentials(connection);
  if (connection.token_file.empty()) {
    return grpc::CreateCustomChannel(connection.address, credentials, arguments);
  }
  std::string token = ReadFile("--token-file", connection.token_file);
  absl::StripAsciiWhitespace(&token);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<TokenInterceptorFactory>("Bearer " + token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      connection.address, credentials, arguments, std::move(interceptors));
}

std::string HintFor(const grpc::Status& status) {
  const std::string& said = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) {
    return "show who you are: --token-file, or --tls-certificate and --tls-key";
  }
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return "";
  if (absl::StrContains(said, "certificate verify failed") ||
      absl::StrContains(said, "CERTIFICATE_VERIFY_FAILED")) {
    return "the server's certificate has expired, or --tls-ca does not vouch for it";
  }
  if (absl::StrContains(said, "is not in peer certificate") ||
      absl::StrContains(said, "Hostname Verification")) {
    return "the server's certificate has another name: --tls-server-name says which to expect";
  }
  if (absl::StrContains(said, "WRONG_VERSION_NUMBER") ||
      absl::StrContains(said, "wrong version number")) {
    return "the server speaks plaintext there: leave out the --tls options";
  }
  if (absl::StrContains(said, "ertificate required") || absl::StrContains(said, "Socket closed") ||
      absl::StrContains(said, "onnection reset")) {
    return "the server may speak TLS there (--tls-ca), or want a certificate that it trusts "
           "(--tls-certificate, --tls-key)";
  }
  return "";
}

}  // namespace postern::client

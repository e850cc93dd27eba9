#include "server/config/session_options.h"

#include <cstdint>
#include <fstream>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/check.h"
#include "server/config/hosts.h"
#include "server/config/values.h"

namespace postern::config {
namespace {

namespace v1 = postern::v1;

constexpr std::size_t kMostPasswordBytes = 1024;

mail::TlsPolicy ToPolicy(v1::TlsPolicy policy) {
  switch (policy) {
    case v1::TLS_POLICY_NO:
      return mail::TlsPolicy::kNo;
    case v1::TLS_POLICY_REQUIRED:
      return mail::TlsPolicy::kRequired;
    default:
      return mail::TlsPolicy::kIfAvailable;
  }
}

mail::TlsVerify ToVerify(v1::TlsVerify verify) {
  switch (verify) {
    case v1::TLS_VERIFY_CA:
      return mail::TlsVerify::kCa;
    case v1::TLS_VERIFY_HOST:
      return mail::TlsVerify::kHost;
    default:
      return mail::TlsVerify::kNo;
  }
}

mail::AddressFamily ToFamily(v1::AddressFamily family) {
  switch (family) {
    case v1::ADDRESS_FAMILY_IPV4_ONLY:
      return mail::AddressFamily::kIpv4Only;
    case v1::ADDRESS_FAMILY_IPV6_ONLY:
      return mail::AddressFamily::kIpv6Only;
    case v1::ADDRESS_FAMILY_PREFER_IPV4:
      return mail::AddressFamily::kPreferIpv4;
    case v1::ADDRESS_FAMILY_PREFER_IPV6:
      return mail::AddressFamily::kPreferIpv6;
    default:
      return mail::AddressFamily::kAny;
  }
}

// An address alone, without port or prefix; true in `v6` for IPv6.
absl::Status ParseSource(const std::string& text, bool& v6) {
  const absl::StatusOr<mail::AddressBlock> block = ParseAddressBlock(text);
  if (!block.ok() || absl::StrContains(text, "/")) {
    return absl::InvalidArgumentError(absl::StrCat("expected an address, not ", Quoted(text)));
  }
  v6 = block->v6;
  return absl::OkStatus();
}

void CheckSources(const v1::Options& options, const std::string& path, Problems& problems) {
  bool seen[2] = {};
  for (int i = 0; i < options.bind_address_size(); ++i) {
    bool v6 = false;
    const absl::Status status = ParseSource(options.bind_address(i), v6);
    if (!status.ok()) {
      problems.Add(Element(path, i), status.message());
    } else if (std::exchange(seen[v6 ? 1 : 0], true)) {
      problems.Add(Element(path, i), absl::StrCat("a second IPv", v6 ? 6 : 4, " address"));
    }
  }
}

void CheckCredentials(const v1::Gateway& gateway, const std::string& path, Problems& problems) {
  const bool password = !gateway.password().empty();
  const bool file = !gateway.password_file().empty();
  if (gateway.username().empty()) {
    if (password || file) problems.Add(Join(path, "username"), "required with a password");
    return;
  }
  if (password == file) {
    problems.Add(Join(path, "password"),
                 "with a username, one of password and password_file is required");
  }
  if (gateway.username().size() + gateway.password().size() > kMostPasswordBytes ||
      absl::StrContains(gateway.username(), '\0') || absl::StrContains(gateway.password(), '\0')) {
    problems.Add(Join(path, "username"), "too long, or with a NUL");
  }
  if (gateway.tls() != v1::TLS_POLICY_UNSPECIFIED && gateway.tls() != v1::TLS_POLICY_REQUIRED) {
    problems.Add(Join(path, "tls"), "must be required when there is a username");
  }
}

}  // namespace

absl::StatusOr<std::string> ReadPassword(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) {
    return absl::InvalidArgumentError(absl::StrCat(Quoted(path), " cannot be read, or is empty"));
  }
  if (absl::EndsWith(line, "\r")) line.pop_back();
  if (line.empty() || line.size() > kMostPasswordBytes || absl::StrContains(line, '\0')) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(path), ": the first line is no password of 1 to ", kMostPasswordBytes, " bytes"));
  }
  return line;
}

void SetSession(const v1::Options& from, mail::DeliveryOptions& to) {
  to.address_family = ToFamily(from.address_family());
  for (const std::string& text : from.bind_address()) {
    bool v6 = false;
    POSTERN_CHECK(ParseSource(text, v6).ok());
    (v6 ? to.bind_ipv6 : to.bind_ipv4) = text;
  }
  to.tls = ToPolicy(from.tls());
  to.tls_verify = ToVerify(from.tls_verify());
  if (from.has_tls_fallback()) to.tls_fallback = from.tls_fallback();
  to.tls_only_13 = from.tls_protocols() == "1.3";
  to.tls_certificate_file = from.tls_certificate_file();
  to.tls_key_file = from.tls_key_file();
}

void SetGatewaySession(const v1::Gateway& gateway, mail::DeliveryOptions& to) {
  if (gateway.tls() != v1::TLS_POLICY_UNSPECIFIED) to.tls = ToPolicy(gateway.tls());
  if (gateway.username().empty()) return;
  to.tls = mail::TlsPolicy::kRequired;
  if (to.tls_verify == mail::TlsVerify::kNo) to.tls_verify = mail::TlsVerify::kHost;
  mail::Credentials credentials;
  credentials.username = gateway.username();
  credentials.password = gateway.password();
  if (!gateway.password_file().empty()) {
    absl::StatusOr<std::string> read = ReadPassword(gateway.password_file());
    if (read.ok()) credentials.password = *std::move(read);
  }
  to.credentials = std::make_shared<const mail::Credentials>(std::move(credentials));
}

std::shared_ptr<const mail::HostPort> GatewayHost(const v1::Gateway& gateway) {
  absl::StatusOr<mail::HostPort> host = ParseHostPort(gateway.host());
  POSTERN_CHECK(host.ok());
  if (absl::StrContains(host->host, ":")) host->host = absl::StrCat("[", host->host, "]");
  host->port = static_cast<std::uint16_t>(gateway.port());
  return std::make_shared<const mail::HostPort>(*std::move(host));
}

std::string QueueOf(const v1::Options& merged) {
  const std::shared_ptr<const mail::HostPort> host = GatewayHost(merged.gateway());
  const std::uint32_t port = host->port != 0 ? host->port
                             : merged.has_remote_smtp_port()
                                 ? merged.remote_smtp_port()
                                 : mail::DeliveryOptions().remote_smtp_port;
  return absl::StrCat(host->host, ":", port);
}

void CheckSession(const v1::Options& options, const std::string& path, Problems& problems) {
  CheckSources(options, Join(path, "bind_address"), problems);
  if (options.has_gateway()) {
    CheckCredentials(options.gateway(), Join(path, "gateway"), problems);
  }
  const std::string& lowest = options.tls_protocols();
  if (!lowest.empty() && lowest != "1.2" && lowest != "1.3") {
    problems.Add(Join(path, "tls_protocols"),
                 absl::StrCat("expected \"1.2\" or \"1.3\", not ", Quoted(lowest)));
  }
  if (options.tls_certificate_file().empty() != options.tls_key_file().empty()) {
    problems.Add(
        Join(path, options.tls_key_file().empty() ? "tls_key_file" : "tls_certificate_file"),
        "required: a certificate and its key go together");
  }
}

}  // namespace postern::config

#include "server/rpc/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace postern::rpc {
namespace {

constexpr char kUnixScheme[] = "unix:";

bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return false;
}

std::string HostOf(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

std::string UnixPath(const Listener& listener) {
  absl::string_view path = absl::StripPrefix(listener.address, kUnixScheme);
  if (absl::StartsWith(path, "///")) path.remove_prefix(2);  // "unix:///run/postern.sock"
  return std::string(path.data(), path.size());
}

// True if a connection is taken there, or would be if there were room for it.
bool IsListenedOn(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  const bool taken =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno != ECONNREFUSED;
  close(fd);
  return taken;
}

}  // namespace

bool IsUnix(const Listener& listener) { return absl::StartsWith(listener.address, kUnixScheme); }

bool IsExposed(const Listener& listener) {
  return !IsUnix(listener) && !listener.tls.has_value() && !IsLoopback(HostOf(listener.address));
}

std::string ExposureWarning(const Listener& listener, bool open) {
  if (IsExposed(listener)) {
    return absl::StrCat(listener.address,
                        " takes plaintext from other hosts (insecure: true): whoever reaches it "
                        "can read and change everything that passes");
  }
  const bool anyone = listener.tls.has_value() && !listener.tls->require_client_certificate;
  if (!open || !anyone || IsLoopback(HostOf(listener.address))) return "";
  return absl::StrCat(listener.address,
                      " asks no client for a certificate, and there are no identities (insecure: "
                      "true): whoever reaches it controls the service");
}

absl::Status CheckListener(const Listener& listener) {
  const std::string& address = listener.address;
  if (IsUnix(listener)) {
    const std::string path = UnixPath(listener);
    if (path.empty()) return absl::InvalidArgumentError("unix: names no path");
    if (path.size() < sizeof(sockaddr_un::sun_path)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(address, ": the path is too long for a socket"));
  }
  const std::size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(address, ": must be HOST:PORT or unix:PATH"));
  }
  if (listener.insecure || !IsExposed(listener)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      address, ": plaintext beyond loopback; say `insecure: true` if that is what you want"));
}

absl::Status ClearUnixSocket(const Listener& listener) {
  const std::string path = UnixPath(listener);
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(path, ": ", std::strerror(errno)));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is there, and is no socket"));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());  // CheckListener: it fits
  if (IsListenedOn(address)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": somebody listens on it already"));
  }
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": the old socket cannot be removed: ", std::strerror(errno)));
}

absl::Status SetUnixMode(const Listener& listener) {
  const std::string path = UnixPath(listener);
  if (chmod(path.c_str(), static_cast<mode_t>(listener.unix_mode)) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": its permissions cannot be set: ", std::strerror(errno)));
}

}  // namespace postern::rpc

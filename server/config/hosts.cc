#include "server/config/hosts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/config/problems.h"
#include "server/config/values.h"
#include "server/mail/address.h"

namespace postern::config {
namespace {

constexpr std::size_t kMostUnixPath = 107;  // sizeof(sockaddr_un::sun_path) - 1

// What a port stands behind; no port: -1.
struct Split {
  absl::string_view host;  // without brackets
  bool bracketed = false;
  int port = -1;
};

absl::StatusOr<Split> SplitHostPort(absl::string_view text) {
  Split split;
  absl::string_view port;
  bool has_port = false;
  if (absl::StartsWith(text, "[")) {
    const std::size_t end = text.find(']');
    if (end == absl::string_view::npos) return absl::InvalidArgumentError("a \"]\" is missing");
    split.host = text.substr(1, end - 1);
    split.bracketed = true;
    const absl::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') {
      return absl::InvalidArgumentError("expected \":port\" behind \"]\"");
    }
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else {
    const std::size_t colon = text.find(':');
    // Two colons without brackets: an IPv6 address without port.
    has_port = colon != absl::string_view::npos && text.find(':', colon + 1) == std::string::npos;
    split.host = has_port ? text.substr(0, colon) : text;
    if (has_port) port = text.substr(colon + 1);
  }
  if (has_port) {
    const absl::StatusOr<std::int64_t> number = ParseInteger(port, 0, 65535);
    if (!number.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("port: ", number.status().message()));
    }
    split.port = static_cast<int>(*number);
  }
  return split;
}

// 4 or 6 with the address in `bytes`; 0 for what is no address.
int AddressFamily(absl::string_view text, unsigned char (&bytes)[16]) {
  const std::string host(text);
  std::memset(bytes, 0, sizeof(bytes));
  if (inet_pton(AF_INET, host.c_str(), bytes) == 1) return 4;
  if (inet_pton(AF_INET6, host.c_str(), bytes) == 1) return 6;
  return 0;
}

bool IsLoopback(int family, const unsigned char (&bytes)[16]) {
  if (family == 4) return bytes[0] == 127;
  in6_addr address;
  std::memcpy(&address, bytes, sizeof(address));
  return IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && bytes[12] == 127);
}

// Sets the bits of `bytes` behind the first `bits` to 0; true if they all were.
bool ClearBehind(int bits, unsigned char (&bytes)[16]) {
  bool clean = true;
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(bits - i * 8, 0, 8);
    const auto mask = static_cast<unsigned char>(0xff00 >> kept);
    clean = clean && (bytes[i] & ~mask & 0xff) == 0;
    bytes[i] &= mask;
  }
  return clean;
}

}  // namespace

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text) {
  Endpoint endpoint;
  if (absl::ConsumePrefix(&text, "unix:")) {
    if (!absl::StartsWith(text, "/")) {
      return absl::InvalidArgumentError("the path of a unix socket must begin with \"/\"");
    }
    if (text.size() > kMostUnixPath) {
      return absl::InvalidArgumentError(
          absl::StrCat("the path of a unix socket has at most ", kMostUnixPath, " bytes"));
    }
    endpoint.unix_path = std::string(text);
    endpoint.loopback = true;
    return endpoint;
  }
  const absl::StatusOr<Split> split = SplitHostPort(text);
  if (!split.ok()) return split.status();
  unsigned char bytes[16];
  const int family = AddressFamily(split->host, bytes);
  const bool localhost = split->host == "localhost" && !split->bracketed;
  if ((family == 0 && !localhost) || split->bracketed != (family == 6)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected an address such as 127.0.0.1:9090 or [::1]:9090, not ", Quoted(text)));
  }
  if (split->port < 0) return absl::InvalidArgumentError("the port is missing");
  endpoint.host = family == 6 ? absl::StrCat("[", split->host, "]") : std::string(split->host);
  endpoint.port = static_cast<std::uint16_t>(split->port);
  endpoint.loopback = localhost || IsLoopback(family, bytes);
  return endpoint;
}

absl::StatusOr<mail::HostPort> ParseHostPort(absl::string_view text) {
  const absl::StatusOr<Split> split = SplitHostPort(text);
  if (!split.ok()) return split.status();
  if (split->port == 0) return absl::InvalidArgumentError("port: 0 cannot be dialled");
  unsigned char bytes[16];
  const int family = AddressFamily(split->host, bytes);
  if (split->bracketed && family != 6) {
    return absl::InvalidArgumentError("only an IPv6 address stands in brackets");
  }
  mail::HostPort result;
  result.port = split->port < 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(split->port);
  if (family != 0) {
    result.host = std::string(split->host);
    return result;
  }
  absl::StatusOr<std::string> name = mail::ParseDomain(split->host);
  if (!name.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("not a host or address: ", Quoted(text)));
  }
  // "192.0.2.300" is a valid name by its letters, but never meant as one.
  const std::size_t last = name->rfind('.');
  const absl::string_view label =
      absl::string_view(*name).substr(last == std::string::npos ? 0 : last + 1);
  if (std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return absl::InvalidArgumentError(absl::StrCat("not an address: ", Quoted(text)));
  }
  result.host = *std::move(name);
  return result;
}

absl::Status CheckNameServer(absl::string_view text) {
  const absl::StatusOr<mail::HostPort> server = ParseHostPort(text);
  if (!server.ok()) return server.status();
  unsigned char bytes[16];
  if (AddressFamily(server->host, bytes) != 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a name server is given by its address, not by the name ", Quoted(text)));
}

absl::StatusOr<mail::AddressBlock> ParseAddressBlock(absl::string_view text) {
  mail::AddressBlock block;
  const std::size_t slash = text.find('/');
  const absl::string_view host = text.substr(0, slash);
  const int family = AddressFamily(host, block.bytes);
  if (family == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an address or a network such as 192.0.2.0/24 or 2001:db8::/32, not ",
                     Quoted(text)));
  }
  block.v6 = family == 6;
  block.prefix_bits = block.v6 ? 128 : 32;
  if (slash != absl::string_view::npos) {
    const absl::StatusOr<std::int64_t> bits =
        ParseInteger(text.substr(slash + 1), 0, block.prefix_bits);
    if (!bits.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("prefix: ", bits.status().message()));
    }
    block.prefix_bits = static_cast<int>(*bits);
  }
  if (!ClearBehind(block.prefix_bits, block.bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("the address has bits behind its prefix of ",
                                                   block.prefix_bits, ": ", Quoted(text)));
  }
  block.text = std::string(text);
  return block;
}

mail::AddressBlock MappedBlock(const mail::AddressBlock& block) {
  mail::AddressBlock mapped;
  mapped.v6 = true;
  mapped.prefix_bits = 96 + block.prefix_bits;
  mapped.bytes[10] = mapped.bytes[11] = 0xff;
  std::memcpy(mapped.bytes + 12, block.bytes, 4);
  char address[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, block.bytes, address, sizeof(address));
  mapped.text = absl::StrCat("::ffff:", address, "/", mapped.prefix_bits);
  return mapped;
}

absl::Status CheckDomainGlob(absl::string_view text) {
  if (text == "*") return absl::OkStatus();
  absl::string_view domain = text;
  absl::ConsumePrefix(&domain, "*.");
  if (absl::StrContains(domain, "*")) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a domain, \"*.suffix\" or \"*\", not ", Quoted(text)));
  }
  return mail::ParseDomain(domain).status();
}

absl::Status CheckName(absl::string_view text) {
  const bool good = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
  if (good && !text.empty() && text.size() <= 64) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a name has 1 to 64 of A-Z a-z 0-9 . _ -, not ", Quoted(text)));
}

}  // namespace postern::config

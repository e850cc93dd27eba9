// DeliveryOptions: everything a pair of (domain, binding) is delivered by, already resolved.
//
// A snapshot never changes; it names the generation of the configuration it was made from.
// Names and defaults are those of the configuration's documentation (config.proto).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace postern::mail {

// A host given by name or address, with an optional port (0: remote_smtp_port).
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  int preference = 0;

  bool operator==(const HostPort&) const = default;
};

// An address block, "127.0.0.0/8" or "::1/128".
struct AddressBlock {
  std::string text;
  bool v6 = false;
  unsigned char bytes[16] = {};
  int prefix_bits = 0;

  bool operator==(const AddressBlock&) const = default;
};

enum class TlsPolicy : std::uint8_t { kNo, kIfAvailable, kRequired };
enum class TlsVerify : std::uint8_t { kNo, kCa, kHost };

// Which addresses of a host are dialled, and which of them first.
enum class AddressFamily : std::uint8_t { kAny, kIpv4Only, kIpv6Only, kPreferIpv4, kPreferIpv6 };

// For AUTH (RFC 4954).
struct Credentials {
  std::string username;
  std::string password;

  bool operator==(const Credentials&) const = default;
};

struct DeliveryOptions {
  std::uint64_t generation = 0;

  int max_outbound_connections = 32;
  int max_connections_per_host = 32;
  int server_max_outbound_connections = 20000;
  int max_deliveries_per_connection = 0;  // 0: no limit
  int max_recipients_per_connection = 0;  // 0: no limit
  int max_recipients_per_batch = 100;
  absl::Duration idle_timeout = absl::Seconds(5);

  absl::Duration mx_lookup_timeout = absl::Seconds(30);
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration banner_timeout = absl::Seconds(300);
  absl::Duration ehlo_timeout = absl::Seconds(300);
  absl::Duration mailfrom_timeout = absl::Seconds(300);
  absl::Duration rcptto_timeout = absl::Seconds(300);
  absl::Duration data_timeout = absl::Seconds(120);
  absl::Duration block_timeout = absl::Seconds(180);
  absl::Duration body_timeout = absl::Seconds(600);
  absl::Duration rset_timeout = absl::Seconds(30);
  absl::Duration quit_timeout = absl::Seconds(5);
  absl::Duration starttls_timeout = absl::Seconds(60);

  std::vector<absl::Duration> retry_schedule = {
      absl::Minutes(5), absl::Minutes(10), absl::Minutes(20), absl::Minutes(40),
      absl::Hours(1),   absl::Hours(2),    absl::Hours(4)};  // the last one repeats
  double retry_jitter = 0.1;                                 // fraction, both ways
  absl::Duration message_expiration = absl::Hours(120);
  int max_retries = -1;  // negative: no limit but expiry

  absl::Duration host_failure_retry = absl::Seconds(120);  // a host that failed is skipped for it
  int mx_failures_to_delay = 50;  // connections that failed in a row until the queue is deferred
  bool suspend_delivery = false;
  bool in_doubt_hold = false;  // rows in doubt wait for an operator; false: they are tried again

  double redial_rate = 1.0;  // connections per second that replace ended ones
  int redial_burst = 4;

  std::uint16_t remote_smtp_port = 25;
  std::string ehlo_hostname;
  std::vector<HostPort> routes;                // non-empty: instead of MX
  std::shared_ptr<const HostPort> gateway;     // null: none
  std::vector<AddressBlock> prohibited_hosts;  // never dialled, and the mail fails
  std::vector<AddressBlock> skip_hosts;        // never dialled, and the mail waits
  AddressFamily address_family = AddressFamily::kAny;
  std::string bind_ipv4, bind_ipv6;  // source addresses; empty: the system's choice

  TlsPolicy tls = TlsPolicy::kIfAvailable;
  TlsVerify tls_verify = TlsVerify::kNo;
  bool tls_fallback = true;
  bool tls_only_13 = false;                        // lowest version: TLS 1.3 instead of 1.2
  std::string tls_certificate_file, tls_key_file;  // PEM; both or neither
  // Set for the queue of a gateway that asks for AUTH.
  std::shared_ptr<const Credentials> credentials;
};

// Where options come from (the configuration). Thread: any.
class OptionsSource {
 public:
  virtual ~OptionsSource() = default;
  // The snapshot for a pair under the present configuration.
  virtual std::shared_ptr<const DeliveryOptions> ForPair(absl::string_view domain,
                                                         absl::string_view binding) const = 0;
  // True if the configuration knows the binding ("default" always).
  virtual bool KnowsBinding(absl::string_view binding) const = 0;
  virtual std::uint64_t generation() const = 0;
};

}  // namespace postern::mail

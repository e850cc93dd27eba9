// Routing: which queue a recipient's domain goes to, and which hosts a queue is delivered to.
//
// Mail for a gateway is queued under the gateway's "host:port", as in Momentum; no mail domain
// looks like that. Pure, but for the resolver. Thread: any; Targets: the scheduler's.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/dns/resolver.h"
#include "server/mail/options.h"

namespace postern::delivery {

// The domain part of the queue's key for mail to `domain`.
std::string QueueDomain(absl::string_view domain, const mail::DeliveryOptions& options);

// The gateway that a queue's domain stands for; nullopt for a mail domain.
std::optional<mail::HostPort> GatewayOf(absl::string_view queue_domain);

// True if `address` is in one of the blocks.
bool IsProhibited(const asio::ip::address& address, const std::vector<mail::AddressBlock>& blocks);

// Where a connection to `remote` is to come from; nullopt: wherever the system says.
std::optional<asio::ip::address> SourceFor(const asio::ip::address& remote,
                                           const mail::DeliveryOptions& options);

// The same for an endpoint as ConnectionInfo has it ("192.0.2.1:25", "[2001:db8::1]:25").
bool IsProhibitedEndpoint(absl::string_view endpoint,
                          const std::vector<mail::AddressBlock>& blocks);

// True if a session that was opened by the one could have been by the other: from the same address
// and name, as secure, through the same gateway.
bool SpeakAlike(const mail::DeliveryOptions& a, const mail::DeliveryOptions& b);

// True if both lead to the same hosts, from the same addresses, in the same manner: what failed by
// the one would fail by the other.
bool DialAlike(const mail::DeliveryOptions& a, const mail::DeliveryOptions& b);

// One place to dial.
struct DialTarget {
  std::string host;
  asio::ip::tcp::endpoint endpoint;
  bool plaintext = false;  // without STARTTLS, after a handshake that failed
};

struct DialPlan {
  dns::MxOutcome outcome = dns::MxOutcome::kTemporary;
  std::string error;
  std::vector<DialTarget> targets;
  // As in dns::MxAnswer: not empty if there may be hosts that could not be looked up for now. Only
  // then is it no verdict on the mail that none of `targets` may be dialled.
  std::string missing{};
};

// Takes away the addresses that options.address_family excludes and puts those that it prefers to
// the front of their host's. A plan of which nothing is left is kNoAddress, or kTemporary if there
// may be other hosts.
void ApplyAddressFamily(mail::AddressFamily family, DialPlan& plan);

// True if PlanDial would have to ask the network: the attempt is then MX_LOOKUP_PENDING first.
bool NeedsLookup(absl::string_view queue_domain, const mail::DeliveryOptions& options,
                 dns::Resolver& resolver);

// The hosts of a queue in the order in which they are to be tried: the gateway, the static routes,
// or what DNS says.
asio::awaitable<DialPlan> PlanDial(std::string queue_domain,
                                   std::shared_ptr<const mail::DeliveryOptions> options,
                                   dns::Resolver& resolver);

}  // namespace postern::delivery

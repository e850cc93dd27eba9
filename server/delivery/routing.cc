#include "server/delivery/routing.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace postern::delivery {
namespace {

asio::ip::tcp::endpoint At(const asio::ip::address& address, std::uint16_t port) {
  return {address, port};
}

// An address as text, with or without brackets; nullopt for a name.
std::optional<asio::ip::address> AsAddress(absl::string_view host) {
  std::string text(host);
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  std::error_code error;
  const asio::ip::address address = asio::ip::make_address(text, error);
  if (error) return std::nullopt;
  return address;
}

asio::awaitable<void> AddHost(mail::HostPort host, const mail::DeliveryOptions& options,
                              dns::Resolver& resolver, DialPlan& plan) {
  const std::uint16_t port = host.port == 0 ? options.remote_smtp_port : host.port;
  if (const auto address = AsAddress(host.host)) {
    plan.targets.push_back(DialTarget{host.host, At(*address, port)});
    co_return;
  }
  std::string name = host.host;
  const std::shared_ptr<const dns::MxAnswer> answer =
      co_await resolver.ResolveHost(std::move(name), options.mx_lookup_timeout);
  const bool temporary = answer->outcome == dns::MxOutcome::kTemporary;
  if (plan.missing.empty()) plan.missing = temporary ? answer->error : answer->missing;
  if (answer->outcome != dns::MxOutcome::kOk) {
    plan.outcome = answer->outcome;
    plan.error = answer->error;
    co_return;
  }
  for (const dns::Target& target : answer->targets) {
    plan.targets.push_back(DialTarget{host.host, At(target.address, port)});
  }
}

}  // namespace

std::string QueueDomain(absl::string_view domain, const mail::DeliveryOptions& options) {
  if (options.gateway == nullptr) return std::string(domain);
  const std::uint16_t port =
      options.gateway->port == 0 ? options.remote_smtp_port : options.gateway->port;
  return absl::StrCat(options.gateway->host, ":", port);
}

std::optional<mail::HostPort> GatewayOf(absl::string_view queue_domain) {
  const std::size_t colon = queue_domain.rfind(':');
  const std::size_t bracket = queue_domain.rfind(']');
  if (colon == absl::string_view::npos) return std::nullopt;
  if (bracket != absl::string_view::npos && bracket > colon) return std::nullopt;  // a literal
  int port = 0;
  if (!absl::SimpleAtoi(queue_domain.substr(colon + 1), &port)) return std::nullopt;
  mail::HostPort gateway;
  gateway.host = std::string(queue_domain.substr(0, colon));
  gateway.port = static_cast<std::uint16_t>(port);
  return gateway;
}

bool IsProhibited(const asio::ip::address& address, const std::vector<mail::AddressBlock>& blocks) {
  unsigned char bytes[16] = {};
  if (address.is_v6()) {
    const auto v6 = address.to_v6().to_bytes();
    std::memcpy(bytes, v6.data(), 16);
  } else {
    const auto v4 = address.to_v4().to_bytes();
    std::memcpy(bytes, v4.data(), 4);
  }
  const auto inside = [&](const mail::AddressBlock& block) {
    if (block.v6 != address.is_v6()) return false;
    const int whole = block.prefix_bits / 8;
    if (std::memcmp(bytes, block.bytes, static_cast<std::size_t>(whole)) != 0) return false;
    const int rest = block.prefix_bits % 8;
    if (rest == 0) return true;
    return ((bytes[whole] ^ block.bytes[whole]) >> (8 - rest)) == 0;
  };
  return std::any_of(blocks.begin(), blocks.end(), inside);
}

std::optional<asio::ip::address> SourceFor(const asio::ip::address& remote,
                                           const mail::DeliveryOptions& options) {
  return AsAddress(remote.is_v6() ? options.bind_ipv6 : options.bind_ipv4);
}

void ApplyAddressFamily(mail::AddressFamily family, DialPlan& plan) {
  using mail::AddressFamily;
  if (family == AddressFamily::kAny || plan.outcome != dns::MxOutcome::kOk) return;
  const bool v6 = family == AddressFamily::kIpv6Only || family == AddressFamily::kPreferIpv6;
  const bool only = family == AddressFamily::kIpv4Only || family == AddressFamily::kIpv6Only;
  const auto wanted = [v6](const DialTarget& t) { return t.endpoint.address().is_v6() == v6; };
  std::vector<DialTarget>& targets = plan.targets;
  if (only) {
    targets.erase(std::remove_if(targets.begin(), targets.end(), std::not_fn(wanted)),
                  targets.end());
    if (!targets.empty()) return;
    if (!plan.missing.empty()) {
      plan.outcome = dns::MxOutcome::kTemporary;
      plan.error = plan.missing;
      return;
    }
    plan.outcome = dns::MxOutcome::kNoAddress;
    plan.error = absl::StrCat("no host has an IPv", v6 ? 6 : 4, " address (address_family)");
    return;
  }
  for (auto host = targets.begin(); host != targets.end();) {
    const auto end = std::find_if(host, targets.end(),
                                  [host](const DialTarget& t) { return t.host != host->host; });
    std::stable_partition(host, end, wanted);
    host = end;
  }
}

bool SpeakAlike(const mail::DeliveryOptions& a, const mail::DeliveryOptions& b) {
  const auto way = [](const mail::DeliveryOptions& o) {
    return std::tie(o.bind_ipv4, o.bind_ipv6, o.ehlo_hostname, o.tls, o.tls_verify, o.tls_fallback,
                    o.tls_only_13, o.tls_certificate_file, o.tls_key_file);
  };
  const auto same = [](const auto& one, const auto& other) {
    return one == other || (one != nullptr && other != nullptr && *one == *other);
  };
  return way(a) == way(b) && same(a.gateway, b.gateway) && same(a.credentials, b.credentials);
}

bool DialAlike(const mail::DeliveryOptions& a, const mail::DeliveryOptions& b) {
  const auto way = [](const mail::DeliveryOptions& o) {
    return std::tie(o.routes, o.remote_smtp_port, o.prohibited_hosts, o.skip_hosts,
                    o.address_family);
  };
  return way(a) == way(b) && SpeakAlike(a, b);
}

bool IsProhibitedEndpoint(absl::string_view endpoint,
                          const std::vector<mail::AddressBlock>& blocks) {
  const auto address = AsAddress(endpoint.substr(0, endpoint.rfind(':')));
  return address.has_value() && IsProhibited(*address, blocks);
}

bool NeedsLookup(absl::string_view queue_domain, const mail::DeliveryOptions& options,
                 dns::Resolver& resolver) {
  const auto is_unknown = [&resolver](const mail::HostPort& host) {
    return !AsAddress(host.host).has_value() && resolver.CachedHost(host.host) == nullptr;
  };
  if (const auto gateway = GatewayOf(queue_domain)) return is_unknown(*gateway);
  if (!options.routes.empty()) {
    return std::any_of(options.routes.begin(), options.routes.end(), is_unknown);
  }
  if (!queue_domain.empty() && queue_domain.front() == '[') return false;
  return resolver.Cached(queue_domain) == nullptr;
}

asio::awaitable<DialPlan> PlanDial(std::string queue_domain,
                                   std::shared_ptr<const mail::DeliveryOptions> options,
                                   dns::Resolver& resolver) {
  DialPlan plan;
  std::vector<mail::HostPort> hosts;
  if (std::optional<mail::HostPort> gateway = GatewayOf(queue_domain)) {
    hosts.push_back(*std::move(gateway));
  } else {
    hosts = options->routes;
  }
  if (!hosts.empty()) {
    std::stable_sort(hosts.begin(), hosts.end(),
                     [](const auto& a, const auto& b) { return a.preference < b.preference; });
    for (const mail::HostPort& host : hosts) {
      mail::HostPort copy = host;
      co_await AddHost(std::move(copy), *options, resolver, plan);
    }
    if (!plan.targets.empty()) plan.outcome = dns::MxOutcome::kOk;
    // A host of our own configuration that is not in DNS is our mistake, not the recipients'.
    else if (plan.outcome == dns::MxOutcome::kNoDomain)
      plan.outcome = dns::MxOutcome::kNoAddress;
    ApplyAddressFamily(options->address_family, plan);
    co_return plan;
  }
  std::shared_ptr<const dns::MxAnswer> answer = resolver.Cached(queue_domain);
  if (answer == nullptr) {
    answer = co_await resolver.ResolveMail(std::move(queue_domain), options->mx_lookup_timeout);
  }
  plan.outcome = answer->outcome;
  plan.error = answer->error;
  plan.missing = answer->missing;
  for (const dns::Target& target : answer->targets) {
    plan.targets.push_back(DialTarget{target.host, At(target.address, options->remote_smtp_port)});
  }
  ApplyAddressFamily(options->address_family, plan);
  co_return plan;
}

}  // namespace postern::delivery

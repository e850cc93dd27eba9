#include "server/config/options_resolver.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/config/hosts.h"
#include "server/config/session_options.h"
#include "server/config/settings.h"
#include "server/config/values.h"
#include "server/mail/address.h"
#include "server/mail/binding.h"
#include "server/mail/hold.h"

namespace postern::config {
namespace {

namespace v1 = postern::v1;
using DomainIndex = absl::flat_hash_map<std::string, int>;

// Lays what `from` sets over `to`. MergeFrom alone would join lists and mix two gateways.
void Override(const v1::Options& from, v1::Options& to) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  from.GetReflection()->ListFields(from, &fields);
  for (const auto* field : fields) to.GetReflection()->ClearField(&to, field);
  to.MergeFrom(from);
}

template <typename Domains>
DomainIndex IndexOf(const Domains& domains) {
  DomainIndex index;
  for (int i = 0; i < domains.size(); ++i) {
    index.emplace(mail::ParseDomain(domains[i].name()).value(), i);
  }
  return index;
}

template <typename Key, typename Value>
int FindOr(const absl::flat_hash_map<Key, Value>& index, absl::string_view key, int otherwise) {
  const auto found = index.find(key);
  return found == index.end() ? otherwise : found->second;
}

void AddBlock(absl::string_view text, std::vector<mail::AddressBlock>& blocks) {
  absl::StatusOr<mail::AddressBlock> block = ParseAddressBlock(text);
  POSTERN_CHECK(block.ok());
  // An AAAA record of ::ffff:127.0.0.1 must not be a way around.
  if (!block->v6) blocks.push_back(MappedBlock(*block));
  blocks.push_back(*std::move(block));
}

std::vector<mail::AddressBlock> ProhibitedHosts(const v1::Options& options) {
  std::vector<mail::AddressBlock> blocks;
  if (options.prohibited_hosts().empty()) {
    for (const char* block : {"127.0.0.0/8", "0.0.0.0/8", "::1", "::"}) AddBlock(block, blocks);
  } else if (options.prohibited_hosts(0) != "none") {
    for (const std::string& block : options.prohibited_hosts()) AddBlock(block, blocks);
  }
  return blocks;
}

void SetLimits(const v1::Options& from, mail::DeliveryOptions& to) {
  const auto number = [](bool has, std::uint32_t value, int& target) {
    if (has) target = static_cast<int>(value);
  };
  number(from.has_max_outbound_connections(), from.max_outbound_connections(),
         to.max_outbound_connections);
  number(from.has_max_connections_per_host(), from.max_connections_per_host(),
         to.max_connections_per_host);
  number(from.has_server_max_outbound_connections(), from.server_max_outbound_connections(),
         to.server_max_outbound_connections);
  number(from.has_mx_failures_to_delay(), from.mx_failures_to_delay(), to.mx_failures_to_delay);
  number(from.has_max_deliveries_per_connection(), from.max_deliveries_per_connection(),
         to.max_deliveries_per_connection);
  number(from.has_max_recipients_per_connection(), from.max_recipients_per_connection(),
         to.max_recipients_per_connection);
  number(from.has_max_recipients_per_batch(), from.max_recipients_per_batch(),
         to.max_recipients_per_batch);
  number(from.has_max_retries(), from.max_retries(), to.max_retries);
  if (from.has_redial_rate()) {
    const v1::Rate& rate = from.redial_rate();
    const absl::Duration per = rate.has_per() ? FromProto(rate.per()) : absl::Seconds(1);
    to.redial_rate = rate.count() / absl::ToDoubleSeconds(per);
    to.redial_burst = static_cast<int>(rate.burst() == 0 ? rate.count() : rate.burst());
  }
}

void SetTimes(const v1::Options& from, mail::DeliveryOptions& to) {
  const auto time = [](bool has, const google::protobuf::Duration& value, absl::Duration& target) {
    if (has) target = FromProto(value);
  };
  time(from.has_idle_timeout(), from.idle_timeout(), to.idle_timeout);
  time(from.has_mx_lookup_timeout(), from.mx_lookup_timeout(), to.mx_lookup_timeout);
  time(from.has_connect_timeout(), from.connect_timeout(), to.connect_timeout);
  time(from.has_banner_timeout(), from.banner_timeout(), to.banner_timeout);
  time(from.has_ehlo_timeout(), from.ehlo_timeout(), to.ehlo_timeout);
  time(from.has_mailfrom_timeout(), from.mailfrom_timeout(), to.mailfrom_timeout);
  time(from.has_rcptto_timeout(), from.rcptto_timeout(), to.rcptto_timeout);
  time(from.has_data_timeout(), from.data_timeout(), to.data_timeout);
  time(from.has_block_timeout(), from.block_timeout(), to.block_timeout);
  time(from.has_body_timeout(), from.body_timeout(), to.body_timeout);
  time(from.has_rset_timeout(), from.rset_timeout(), to.rset_timeout);
  time(from.has_quit_timeout(), from.quit_timeout(), to.quit_timeout);
  time(from.has_host_failure_retry(), from.host_failure_retry(), to.host_failure_retry);
  time(from.has_starttls_timeout(), from.starttls_timeout(), to.starttls_timeout);
  time(from.has_message_expiration(), from.message_expiration(), to.message_expiration);
  if (!from.retry_schedule().empty()) {
    to.retry_schedule.clear();
    for (const auto& wait : from.retry_schedule()) to.retry_schedule.push_back(FromProto(wait));
  }
  if (from.has_retry_jitter_percent()) to.retry_jitter = from.retry_jitter_percent() / 100.0;
}

}  // namespace

class OptionsResolver::Scopes {
 public:
  Scopes(const v1::Config& config, std::uint64_t generation)
      : generation_(generation),
        config_(config),
        hostname_(SettingsOf(config).hostname),
        domains_(IndexOf(config_.domains())) {
    for (int i = 0; i < config_.bindings_size(); ++i) {
      bindings_.emplace(config_.bindings(i).name(), i);
      binding_domains_.push_back(IndexOf(config_.bindings(i).domains()));
    }
    for (int i = 0; i < config_.routes_size(); ++i) {
      routes_.emplace(mail::NormalDomain(config_.routes(i).domain()), i);
    }
    IndexGateways();
  }

  std::uint64_t generation() const { return generation_; }
  bool Knows(absl::string_view binding) const { return bindings_.contains(binding); }

  std::shared_ptr<const mail::DeliveryOptions> For(absl::string_view domain,
                                                   absl::string_view binding) const {
    const int b = FindOr(bindings_, binding, kNone);
    const int bd =
        b == kNone ? kNone : FindOr(binding_domains_[static_cast<std::size_t>(b)], domain, kNone);
    const Key key = {FindOr(domains_, domain, kNone), b, bd, RouteFor(domain),
                     GatewayFor(domain, b)};
    base::MutexLock lock(mu_);
    std::shared_ptr<const mail::DeliveryOptions>& snapshot = snapshots_[key];
    if (snapshot == nullptr) snapshot = Make(key);
    return snapshot;
  }

 private:
  static constexpr int kNone = -1;
  // Places of domain, binding, binding + domain, route, and of the gateway whose queue it is.
  using Key = std::array<int, 5>;

  // Exact, then "*.suffix" from the longest, then "*".
  int RouteFor(absl::string_view domain) const {
    if (routes_.empty()) return kNone;
    if (const int exact = FindOr(routes_, domain, kNone); exact != kNone) return exact;
    const bool literal = absl::StartsWith(domain, "[");
    for (std::size_t dot = literal ? absl::string_view::npos : domain.find('.');
         dot != absl::string_view::npos; dot = domain.find('.', dot + 1)) {
      const int wild = FindOr(routes_, absl::StrCat("*", domain.substr(dot)), kNone);
      if (wild != kNone) return wild;
    }
    return FindOr(routes_, "*", kNone);
  }

  v1::Options Merge(int domain, int binding, int binding_domain) const {
    v1::Options merged = config_.options();
    if (domain != kNone) Override(config_.domains(domain).options(), merged);
    if (binding != kNone) Override(config_.bindings(binding).options(), merged);
    if (binding_domain != kNone) {
      Override(config_.bindings(binding).domains(binding_domain).options(), merged);
    }
    return merged;
  }

  // Mail for a gateway is queued under the gateway's name, of which no scope for domains knows: how
  // to talk to it is looked up by that name, first among what the binding says.
  void IndexGateways() {
    const auto add = [this](const v1::Options& scope, int domain, int binding, int binding_domain) {
      if (!scope.has_gateway()) return;
      const v1::Options merged = Merge(domain, binding, binding_domain);
      gateway_index_.emplace(GatewayKey(QueueOf(merged), binding),
                             static_cast<int>(gateways_.size()));
      gateways_.push_back(merged.gateway());
    };
    for (int b = 0; b < config_.bindings_size(); ++b) {
      const v1::BindingConfig& binding = config_.bindings(b);
      add(binding.options(), kNone, b, kNone);
      for (int d = 0; d < binding.domains_size(); ++d) {
        add(binding.domains(d).options(), kNone, b, d);
      }
    }
    add(config_.options(), kNone, kNone, kNone);
    for (int d = 0; d < config_.domains_size(); ++d) {
      add(config_.domains(d).options(), d, kNone, kNone);
    }
  }

  static std::string GatewayKey(absl::string_view queue, int binding) {
    return absl::StrCat(binding, " ", queue);
  }

  int GatewayFor(absl::string_view queue, int binding) const {
    if (gateways_.empty()) return kNone;
    const int own = FindOr(gateway_index_, GatewayKey(queue, binding), kNone);
    return own != kNone ? own : FindOr(gateway_index_, GatewayKey(queue, kNone), kNone);
  }

  std::shared_ptr<const mail::DeliveryOptions> Make(const Key& key) const {
    const auto [domain, binding, binding_domain, route, gateway] = key;
    const v1::Options merged = Merge(domain, binding, binding_domain);
    auto options = std::make_shared<mail::DeliveryOptions>();
    options->generation = generation_;
    SetLimits(merged, *options);
    SetTimes(merged, *options);
    if (merged.has_remote_smtp_port()) {
      options->remote_smtp_port = static_cast<std::uint16_t>(merged.remote_smtp_port());
    }
    options->ehlo_hostname = merged.ehlo_hostname().empty()
                                 ? hostname_
                                 : mail::ParseDomain(merged.ehlo_hostname()).value();
    options->suspend_delivery = merged.suspend_delivery();
    options->in_doubt_hold = merged.in_doubt() == v1::IN_DOUBT_ACTION_HOLD;
    if (merged.has_gateway()) options->gateway = GatewayHost(merged.gateway());
    SetSession(merged, *options);
    if (gateway != kNone) SetGatewaySession(gateways_[static_cast<std::size_t>(gateway)], *options);
    options->prohibited_hosts = ProhibitedHosts(merged);
    for (const std::string& block : merged.skip_hosts()) AddBlock(block, options->skip_hosts);
    if (route != kNone) options->routes = HostsOf(config_.routes(route));
    return options;
  }

  static std::vector<mail::HostPort> HostsOf(const v1::Route& route) {
    std::vector<mail::HostPort> hosts;
    for (const std::string& text : route.hosts()) {
      mail::HostPort host = ParseHostPort(text).value();
      host.preference = static_cast<int>(hosts.size());
      hosts.push_back(std::move(host));
    }
    return hosts;
  }

  const std::uint64_t generation_;
  const v1::Config config_;
  const std::string hostname_;
  const DomainIndex domains_;
  DomainIndex bindings_;
  std::vector<DomainIndex> binding_domains_;  // of each binding
  DomainIndex routes_;                        // by glob
  std::vector<v1::Gateway> gateways_;
  DomainIndex gateway_index_;  // of gateways_, by binding and name of the queue

  mutable base::Mutex mu_;
  mutable absl::flat_hash_map<Key, std::shared_ptr<const mail::DeliveryOptions>> snapshots_
      ABSL_GUARDED_BY(mu_);
};

OptionsResolver::OptionsResolver(const postern::v1::Config& config, std::uint64_t generation)
    : scopes_(std::make_shared<const Scopes>(config, generation)) {}

OptionsResolver::~OptionsResolver() = default;

void OptionsResolver::Replace(const postern::v1::Config& config, std::uint64_t generation) {
  // Indexing a large configuration takes its time: meanwhile the old one is in force.
  auto next = std::make_shared<const Scopes>(config, generation);
  base::MutexLock lock(mu_);
  scopes_ = std::move(next);
}

std::shared_ptr<const OptionsResolver::Scopes> OptionsResolver::scopes() const {
  base::MutexLock lock(mu_);
  return scopes_;
}

std::shared_ptr<const mail::DeliveryOptions> OptionsResolver::ForPair(
    absl::string_view domain, absl::string_view binding) const {
  return scopes()->For(domain, binding.empty() ? mail::kDefaultBinding : binding);
}

bool OptionsResolver::KnowsBinding(absl::string_view binding) const {
  return binding.empty() || binding == mail::kDefaultBinding || scopes()->Knows(binding);
}

std::uint64_t OptionsResolver::generation() const { return scopes()->generation(); }

}  // namespace postern::config

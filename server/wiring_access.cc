#include "server/wiring_access.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/config/hosts.h"
#include "server/config/settings.h"
#include "server/config/values.h"
#include "server/mail/hold.h"

namespace postern {
namespace {

// Below this a token can be guessed.
constexpr std::size_t kLeastTokenBytes = 16;
constexpr std::size_t kMostTokenBytes = 4096;
// Of one connection, beside all streams that policy.max_streams allows.
constexpr int kOtherCalls = 512;

using Strings = google::protobuf::RepeatedPtrField<std::string>;

std::vector<std::string> ToVector(const Strings& strings) {
  return {strings.begin(), strings.end()};
}

// As the domains of mail are compared: a glob in another form would never match.
std::vector<std::string> ToGlobs(const Strings& domains) {
  std::vector<std::string> globs;
  for (const std::string& domain : domains) globs.push_back(mail::NormalDomain(domain));
  return globs;
}

bridge::Filter ToFilter(const Strings& domains, const Strings& bindings) {
  return {ToGlobs(domains), ToVector(bindings)};
}

rpc::Rights ToRights(const v1::Rights& rights) {
  rpc::Rights out;
  if (rights.has_submit()) {
    out.submit =
        rpc::SubmitRight{ToGlobs(rights.submit().sender_domains()),
                         ToVector(rights.submit().bindings()), ToVector(rights.submit().tenants())};
  }
  if (rights.has_watch()) {
    out.watch = ToFilter(rights.watch().domains(), rights.watch().bindings());
  }
  if (rights.has_decide()) {
    out.decide = rpc::DecideRight{ToFilter(rights.decide().domains(), rights.decide().bindings()),
                                  ToVector(rights.decide().providers())};
  }
  out.control = rights.control();
  out.all = rights.all();
  return out;
}

std::optional<bridge::DefaultVerdict> ToVerdict(v1::DefaultVerdict verdict) {
  switch (verdict) {
    case v1::DEFAULT_VERDICT_KEEP:
      return bridge::DefaultVerdict::kKeep;
    case v1::DEFAULT_VERDICT_SHUTDOWN:
      return bridge::DefaultVerdict::kShutdown;
    default:
      return std::nullopt;
  }
}

template <typename Rule>
bridge::DefaultRule ToRule(const Rule& rule) {
  bridge::DefaultRule result;
  result.verdict = ToVerdict(rule.default_verdict());
  for (const v1::CauseDefault& by_cause : rule.cause_defaults()) {
    // Both enums count the causes alike (policy.h, types.proto).
    const auto cause = static_cast<std::size_t>(by_cause.cause());
    if (cause < result.by_cause.size()) result.by_cause[cause] = ToVerdict(by_cause.verdict());
  }
  return result;
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (file == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
  }
  std::string token(kMostTokenBytes + 2, '\0');
  token.resize(std::fread(token.data(), 1, token.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
  }
  absl::StripAsciiWhitespace(&token);
  if (token.size() < kLeastTokenBytes || token.size() > kMostTokenBytes ||
      !std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a token has ", kLeastTokenBytes, " to ",
                                                   kMostTokenBytes, " visible ASCII characters"));
  }
  return token;
}

rpc::Listener MakeListener(const config::Listener& listener) {
  rpc::Listener out;
  out.address = listener.address;
  out.insecure = listener.insecure;
  out.unix_mode = listener.unix_mode;
  if (listener.tls.has_value()) {
    out.tls = rpc::TlsOptions{listener.tls->certificate_file(), listener.tls->key_file(),
                              listener.tls->client_ca_file(), listener.require_client_certificates};
  }
  return out;
}

}  // namespace

absl::StatusOr<rpc::AccessOptions> MakeAccessOptions(const v1::Config& config,
                                                     const std::string& source) {
  rpc::AccessOptions options;
  for (const v1::Identity& identity : config.identities()) {
    rpc::IdentitySpec spec;
    spec.name = identity.name();
    spec.uris = ToVector(identity.uris());
    if (!identity.token_file().empty()) {
      absl::StatusOr<std::string> token = ReadToken(identity.token_file());
      if (!token.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(source, ": identities[",
                                                       options.identities.size(),
                                                       "].token_file: ", token.status().message()));
      }
      for (const rpc::IdentitySpec& other : options.identities) {
        if (other.token != *token) continue;
        return absl::InvalidArgumentError(absl::StrCat(
            source, ": identities[", options.identities.size(),
            "].token_file: ", identity.token_file(), ": is the token of ", other.name, " too"));
      }
      spec.token = *std::move(token);
    }
    for (const int local : identity.local()) {
      if (local == v1::LOCAL_PEER_UNIX) spec.unix_peers = true;
      if (local == v1::LOCAL_PEER_LOOPBACK) spec.loopback_peers = true;
    }
    spec.rights = ToRights(identity.rights());
    options.identities.push_back(std::move(spec));
  }
  for (const v1::PolicyProviderRule& rule : config.policy().providers()) {
    options.providers.push_back({rule.name(), ToVector(rule.identities()),
                                 ToFilter(rule.allow().domains(), rule.allow().bindings())});
  }
  if (config.policy().has_max_streams_per_identity()) {
    options.max_streams_per_identity = static_cast<int>(config.policy().max_streams_per_identity());
  }
  if (config.policy().has_max_verdicts_per_second()) {
    options.max_verdicts_per_second = static_cast<int>(config.policy().max_verdicts_per_second());
  }
  return options;
}

bridge::PolicyOptions MakePolicyOptions(const v1::Policy& policy, std::uint64_t generation) {
  bridge::PolicyOptions options;
  options.config_generation = generation;
  if (policy.has_timeout()) options.timeout = config::FromProto(policy.timeout());
  options.defaults = ToRule(policy);
  for (const v1::PolicyDomainRule& rule : policy.domains()) {
    options.domains.push_back({mail::NormalDomain(rule.domain()), ToRule(rule)});
  }
  for (const v1::PolicyProviderRule& rule : policy.providers()) {
    bridge::ProviderRule provider;
    provider.name = rule.name();
    provider.rule = ToRule(rule);
    if (rule.has_max_timeout()) provider.max_timeout = config::FromProto(rule.max_timeout());
    options.providers.push_back(std::move(provider));
  }
  if (policy.has_max_wait_share()) options.max_wait_share = policy.max_wait_share();
  if (policy.has_max_streams()) options.max_streams = policy.max_streams();
  if (policy.has_event_ring_events()) options.ring_events = policy.event_ring_events();
  if (policy.has_event_ring_age()) options.ring_age = config::FromProto(policy.event_ring_age());
  options.bridge_first = policy.bridge_place() == v1::BRIDGE_PLACE_FIRST;
  return options;
}

absl::StatusOr<rpc::ServerOptions> MakeRpcOptions(const v1::Config& config,
                                                  const std::string& source) {
  const config::Settings settings = config::SettingsOf(config);
  rpc::ServerOptions options;
  for (const config::Listener& listener : settings.grpc_listeners) {
    options.listeners.push_back(MakeListener(listener));
    if (!listener.tls.has_value()) continue;
    const absl::Status status = rpc::CheckTlsFiles(*options.listeners.back().tls);
    if (status.ok()) continue;
    return absl::InvalidArgumentError(absl::StrCat(source, ": server.grpc_listeners[",
                                                   options.listeners.size() - 1, "].tls.",
                                                   status.message()));
  }
  absl::StatusOr<rpc::AccessOptions> access = MakeAccessOptions(config, source);
  if (!access.ok()) return access.status();
  options.access = *std::move(access);
  options.limits.drain_budget = settings.drain_budget;
  options.limits.calls_per_connection =
      std::max(options.limits.calls_per_connection,
               static_cast<int>(config.policy().max_streams()) + kOtherCalls);
  return options;
}

}  // namespace postern

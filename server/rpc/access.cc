#include "server/rpc/access.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/log.h"
#include "server/rpc/audit.h"
#include "server/rpc/cq.h"

namespace postern::rpc {
namespace {

constexpr double kAuditLinesPerSecond = 20;
constexpr int kAuditLinesAtOnce = 20;
// Names that something is counted for; those beyond share one.
constexpr std::size_t kMaxUsages = 1024;

absl::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

bool IsLoopback(absl::string_view peer) {
  return absl::StartsWith(peer, "ipv4:127.") || absl::StartsWith(peer, "ipv6:%5B::1%5D:") ||
         absl::StartsWith(peer, "ipv6:[::1]:");
}

AuthMethod PlaintextMethod(absl::string_view peer) {
  if (absl::StartsWith(peer, "unix")) return AuthMethod::kUnix;
  return IsLoopback(peer) ? AuthMethod::kLoopback : AuthMethod::kPlaintext;
}

// The token of `authorization: Bearer ...`; empty: there is none.
absl::string_view BearerToken(const grpc::ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return {};
  absl::string_view value = View(found->second);
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(value, kScheme)) return {};
  return absl::StripAsciiWhitespace(value.substr(kScheme.size()));
}

// Takes as long whether the texts differ early, late or not at all.
bool SameSecret(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences = static_cast<unsigned char>(differences | (a[i] ^ b[i]));
  }
  return differences == 0;
}

}  // namespace

// What one configuration says. One Identity for each way in which one may come in.
struct Access::Table {
  // `usage_of`: what is counted for the identity of a name.
  using UsageOf = absl::FunctionRef<std::shared_ptr<Usage>(const std::string& name)>;
  Table(AccessOptions options, UsageOf usage_of);

  IdentityPtr ByUri(absl::string_view uri) const;
  IdentityPtr ByToken(absl::string_view token) const;
  IdentityPtr Open(AuthMethod method) const;

  bool open = true;  // no identities: all rights to everyone
  int max_streams = 8;
  int max_verdicts_per_second = 0;
  std::shared_ptr<const Rights> everything = std::make_shared<const Rights>(Rights::Everything());
  absl::flat_hash_map<std::string, IdentityPtr> uris;
  std::vector<std::pair<std::string, IdentityPtr>> prefixes;  // longest first
  std::vector<std::pair<std::string, IdentityPtr>> tokens;
  absl::flat_hash_map<std::string, ProviderSpec> providers;
  IdentityPtr unix_peers, loopback_peers;  // null: nobody
  IdentityPtr open_unix, open_loopback, open_plaintext, open_tls;
};

Access::Table::Table(AccessOptions options, UsageOf usage_of)
    : open(options.identities.empty()),
      max_streams(options.max_streams_per_identity),
      max_verdicts_per_second(options.max_verdicts_per_second) {
  const auto anyone = [this](const char* name, AuthMethod method) {
    return std::make_shared<const Identity>(Identity{name, method, everything, nullptr});
  };
  for (ProviderSpec& spec : options.providers) {
    const std::string name = spec.name;
    providers.emplace(name, std::move(spec));
  }
  open_unix = anyone(kLocalIdentity, AuthMethod::kUnix);
  open_loopback = anyone(kLocalIdentity, AuthMethod::kLoopback);
  open_plaintext = anyone(kAnonymousIdentity, AuthMethod::kPlaintext);
  open_tls = anyone(kAnonymousIdentity, AuthMethod::kTls);
  for (IdentitySpec& spec : options.identities) {
    const auto rights = std::make_shared<const Rights>(std::move(spec.rights));
    const std::shared_ptr<Usage> usage = usage_of(spec.name);
    const auto with = [&](AuthMethod method) {
      return std::make_shared<const Identity>(Identity{spec.name, method, rights, usage});
    };
    const IdentityPtr by_certificate = with(AuthMethod::kCertificate);
    for (std::string& uri : spec.uris) {
      if (absl::EndsWith(uri, "*")) {
        uri.pop_back();
        prefixes.emplace_back(std::move(uri), by_certificate);
      } else {
        uris.emplace(std::move(uri), by_certificate);
      }
    }
    if (!spec.token.empty()) tokens.emplace_back(std::move(spec.token), with(AuthMethod::kToken));
    if (spec.unix_peers) unix_peers = with(AuthMethod::kUnix);
    if (spec.loopback_peers) loopback_peers = with(AuthMethod::kLoopback);
  }
  std::stable_sort(prefixes.begin(), prefixes.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

IdentityPtr Access::Table::ByUri(absl::string_view uri) const {
  if (const auto found = uris.find(uri); found != uris.end()) return found->second;
  for (const auto& [prefix, identity] : prefixes) {
    if (absl::StartsWith(uri, prefix)) return identity;
  }
  return nullptr;
}

IdentityPtr Access::Table::ByToken(absl::string_view token) const {
  IdentityPtr match;
  for (const auto& [secret, identity] : tokens) {
    if (SameSecret(secret, token)) match = identity;  // and on, so that the time says nothing
  }
  return match;
}

IdentityPtr Access::Table::Open(AuthMethod method) const {
  switch (method) {
    case AuthMethod::kUnix:
      return open_unix;
    case AuthMethod::kLoopback:
      return open_loopback;
    case AuthMethod::kPlaintext:
      return open_plaintext;
    default:
      return open_tls;
  }
}

Access::Access(AccessOptions options, base::Registry& registry)
    : registry_(registry), lines_(kAuditLinesPerSecond, kAuditLinesAtOnce) {
  Replace(std::move(options));
}

Access::~Access() = default;

void Access::Replace(AccessOptions options) {
  const int verdicts = options.max_verdicts_per_second;
  auto table = std::make_shared<const Table>(
      std::move(options),
      [this, verdicts](const std::string& name) { return UsageOf(name, verdicts); });
  {
    base::MutexLock lock(mu_);
    table_.swap(table);
  }
  // Not before: who sees the new number must find the new table.
  generation_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<Usage> Access::UsageOf(const std::string& name, int verdicts_per_second) const {
  base::MutexLock lock(mu_);
  if (usages_.size() >= kMaxUsages && !usages_.contains(name)) {
    std::erase_if(usages_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  // Whoever comes when all are in use shares one with the others who do.
  const bool room = usages_.size() < kMaxUsages || usages_.contains(name);
  std::shared_ptr<Usage>& usage = usages_[room ? name : std::string()];
  if (usage == nullptr) usage = std::make_shared<Usage>(verdicts_per_second);
  usage->SetVerdictsPerSecond(verdicts_per_second);
  return usage;
}

std::shared_ptr<const Access::Table> Access::table() const {
  base::MutexLock lock(mu_);
  return table_;
}

absl::Status Access::ClampDecide(const Identity& identity, const std::string& provider,
                                 bridge::Filter& filter) const {
  if (absl::Status s = identity.rights->ClampDecide(provider, filter); !s.ok()) return s;
  const std::shared_ptr<const Table> table = this->table();
  const auto found = table->providers.find(provider);
  if (found == table->providers.end()) return absl::OkStatus();
  const ProviderSpec& spec = found->second;
  const auto& names = spec.identities;
  if (!names.empty() && std::find(names.begin(), names.end(), identity.name) == names.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat("decide: policy.providers: ", identity.name, " may not attach as ", provider));
  }
  std::optional<bridge::Filter> both = Intersect(filter, spec.allow);
  if (!both.has_value()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "decide: policy.providers: nothing that the filter names is allowed to ", provider));
  }
  filter = *std::move(both);
  return absl::OkStatus();
}

int Access::max_streams_per_identity() const { return table()->max_streams; }

absl::StatusOr<IdentityPtr> Access::Authenticate(const grpc::ServerContext& context) const {
  const std::shared_ptr<const Table> table = this->table();
  const std::string peer = context.peer();
  AuthMethod method = PlaintextMethod(peer);
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  std::vector<grpc::string_ref> uris;
  if (auth != nullptr && method != AuthMethod::kUnix) {
    const auto type = auth->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
    if (!type.empty() && type.front() != "insecure") {
      method = AuthMethod::kTls;
      uris = auth->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME);
    }
  }
  if (table->open && uris.empty()) return table->Open(method);
  if (table->open) {
    Identity named{std::string(uris.front().data(), uris.front().size()), AuthMethod::kCertificate,
                   table->everything, nullptr};
    named.usage = UsageOf(named.name, table->max_verdicts_per_second);
    return std::make_shared<const Identity>(std::move(named));
  }
  if (const absl::string_view token = BearerToken(context); !token.empty()) {
    IdentityPtr identity = table->ByToken(token);
    if (identity != nullptr) return identity;
    return absl::UnauthenticatedError("authorization: the token is not known");
  }
  for (const grpc::string_ref& uri : uris) {
    if (IdentityPtr identity = table->ByUri(View(uri)); identity != nullptr) return identity;
  }
  if (method == AuthMethod::kUnix && table->unix_peers != nullptr) return table->unix_peers;
  if (method == AuthMethod::kLoopback && table->loopback_peers != nullptr) {
    return table->loopback_peers;
  }
  if (uris.empty()) {
    return absl::UnauthenticatedError(
        "no identity: neither a token nor a client certificate with a URI");
  }
  return absl::UnauthenticatedError(
      absl::StrCat("no identity has the certificate's URI ", View(uris.front())));
}

void Access::LogDenial(const std::string& method, const Identity* identity, const std::string& peer,
                       const absl::Status& status) {
  std::uint64_t unlogged = 0;
  {
    base::MutexLock lock(mu_);
    if (!lines_.Take(Queue::Now())) {
      ++unlogged_;
      return;
    }
    unlogged = std::exchange(unlogged_, 0);
  }
  if (unlogged > 0) base::Log().warn("audit: {} more denials were not logged", unlogged);
  AuditEntry entry{method, "", "", "", ""};
  entry.from = peer;
  if (identity != nullptr) {
    entry.who = identity->name;
    entry.from = absl::StrCat(AuthMethodName(identity->method), " ", peer);
  }
  Audit(entry, status);
}

}  // namespace postern::rpc

#include "server/config/validate_access.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/config/hosts.h"
#include "server/config/values.h"

namespace postern::config {
namespace {

using google::protobuf::RepeatedPtrField;
namespace v1 = postern::v1;

constexpr int kDefaultUnixMode = 0660;
constexpr char kNullSender[] = "<>";

class AccessValidator {
 public:
  AccessValidator(const v1::Config& config, Problems& problems)
      : config_(config), problems_(problems) {}

  void Check() {
    for (int i = 0; i < config_.server().grpc_listeners_size(); ++i) {
      CheckListener(config_.server().grpc_listeners(i), Element("server.grpc_listeners", i));
    }
    for (int i = 0; i < config_.identities_size(); ++i) {
      CheckIdentity(config_.identities(i), Element("identities", i));
    }
    for (int i = 0; i < config_.policy().providers_size(); ++i) {
      CheckProvider(config_.policy().providers(i), Element("policy.providers", i));
    }
  }

 private:
  void Report(const std::string& path, const absl::Status& status) {
    if (!status.ok()) problems_.Add(path, status.message());
  }

  // What must not be there twice, over all identities.
  void CheckUnique(const std::string& key, const std::string& path) {
    const auto [first, is_new] = first_.emplace(key, path);
    if (!is_new) problems_.Add(path, absl::StrCat("is also ", first->second));
  }

  void CheckListener(const v1::GrpcListener& listener, const std::string& path) {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(listener.address());
    if (!endpoint.ok()) return;  // said elsewhere
    const bool is_unix = !endpoint->unix_path.empty();
    if (!listener.unix_mode().empty()) {
      const std::string where = Join(path, "unix_mode");
      if (!is_unix) problems_.Add(where, "only a unix socket has permissions");
      if (ParseUnixMode(listener.unix_mode()) < 0) {
        problems_.Add(where, "expected permissions in octal, as in \"0660\"");
      }
    }
    if (!listener.has_tls()) return;
    const v1::TlsFiles& tls = listener.tls();
    const std::string where = Join(path, "tls");
    if (is_unix) return problems_.Add(where, "a unix socket speaks plaintext");
    if (tls.certificate_file().empty()) problems_.Add(Join(where, "certificate_file"), "required");
    if (tls.key_file().empty()) problems_.Add(Join(where, "key_file"), "required");
    if (RequiresClientCertificates(listener)) {
      if (tls.client_ca_file().empty()) {
        problems_.Add(Join(where, "client_ca_file"),
                      "required: clients must show a certificate, unless `client_certificates: "
                      "optional` says otherwise");
      }
    } else if (!endpoint->loopback && config_.identities_size() == 0 && !listener.insecure()) {
      problems_.Add(Join(where, "client_certificates"),
                    "optional, and there are no identities: whoever reaches it controls the "
                    "service; add `identities`, or `insecure: true` if that is meant");
    }
  }

  void CheckIdentity(const v1::Identity& identity, const std::string& path) {
    if (identity.name().empty()) {
      problems_.Add(Join(path, "name"), "required");
    } else {
      Report(Join(path, "name"), CheckName(identity.name()));
      CheckUnique(absl::StrCat("name ", identity.name()), Join(path, "name"));
    }
    if (identity.uris_size() == 0 && identity.token_file().empty() && identity.local_size() == 0) {
      problems_.Add(path, "needs at least one of uris, token_file and local");
    }
    for (int i = 0; i < identity.uris_size(); ++i) {
      const std::string where = Element(Join(path, "uris"), i);
      const std::string& uri = identity.uris(i);
      const std::size_t star = uri.find('*');
      if (uri.find(':') == std::string::npos ||
          (star != std::string::npos && star + 1 < uri.size())) {
        problems_.Add(where, "expected a URI, or a prefix of URIs that ends in \"*\"");
      }
      CheckUnique(absl::StrCat("uri ", uri), where);
    }
    if (!identity.token_file().empty()) {
      CheckUnique(absl::StrCat("token ", identity.token_file()), Join(path, "token_file"));
    }
    for (int i = 0; i < identity.local_size(); ++i) {
      CheckUnique(absl::StrCat("local ", identity.local(i)), Element(Join(path, "local"), i));
    }
    CheckRights(identity.rights(), Join(path, "rights"));
  }

  void CheckRights(const v1::Rights& rights, const std::string& path) {
    const std::string submit = Join(path, "submit");
    const std::string senders = Join(submit, "sender_domains");
    for (int i = 0; i < rights.submit().sender_domains_size(); ++i) {
      const std::string& glob = rights.submit().sender_domains(i);
      if (glob != kNullSender) Report(Element(senders, i), CheckDomainGlob(glob));
    }
    CheckBindings(rights.submit().bindings(), Join(submit, "bindings"));
    CheckFilter(rights.watch(), Join(path, "watch"));
    const std::string decide = Join(path, "decide");
    CheckGlobs(rights.decide().domains(), Join(decide, "domains"));
    CheckBindings(rights.decide().bindings(), Join(decide, "bindings"));
    const std::string providers = Join(decide, "providers");
    for (int i = 0; i < rights.decide().providers_size(); ++i) {
      absl::string_view name = rights.decide().providers(i);
      const bool prefix = absl::ConsumeSuffix(&name, "*");
      if (!(prefix && name.empty()) &&
          (!CheckName(name).ok() || std::any_of(name.begin(), name.end(), absl::ascii_isupper))) {
        problems_.Add(Element(providers, i),
                      "expected a provider's name, or a prefix of one that ends in \"*\"");
      }
    }
  }

  void CheckGlobs(const RepeatedPtrField<std::string>& globs, const std::string& path) {
    for (int i = 0; i < globs.size(); ++i) Report(Element(path, i), CheckDomainGlob(globs[i]));
  }

  void CheckFilter(const v1::Filter& filter, const std::string& path) {
    CheckGlobs(filter.domains(), Join(path, "domains"));
    CheckBindings(filter.bindings(), Join(path, "bindings"));
  }

  // A right for a binding that is not there would be a right for nothing.
  void CheckBindings(const RepeatedPtrField<std::string>& names, const std::string& path) {
    for (int i = 0; i < names.size(); ++i) {
      const auto& all = config_.bindings();
      const bool known = names[i] == "default" ||
                         std::any_of(all.begin(), all.end(), [&](const v1::BindingConfig& binding) {
                           return binding.name() == names[i];
                         });
      if (!known) problems_.Add(Element(path, i), absl::StrCat("no binding ", Quoted(names[i])));
    }
  }

  void CheckProvider(const v1::PolicyProviderRule& rule, const std::string& path) {
    for (int i = 0; i < rule.identities_size(); ++i) {
      const auto& all = config_.identities();
      const bool known = std::any_of(all.begin(), all.end(), [&](const v1::Identity& identity) {
        return identity.name() == rule.identities(i);
      });
      if (!known) {
        problems_.Add(Element(Join(path, "identities"), i),
                      absl::StrCat("no identity ", Quoted(rule.identities(i))));
      }
    }
    CheckFilter(rule.allow(), Join(path, "allow"));
  }

  const v1::Config& config_;
  Problems& problems_;
  absl::flat_hash_map<std::string, std::string> first_;
};

}  // namespace

void ValidateAccess(const v1::Config& config, Problems& problems) {
  AccessValidator(config, problems).Check();
}

bool RequiresClientCertificates(const v1::GrpcListener& listener) {
  switch (listener.tls().client_certificates()) {
    case v1::CLIENT_CERTIFICATES_REQUIRED:
      return true;
    case v1::CLIENT_CERTIFICATES_OPTIONAL:
      return false;
    default:
      break;
  }
  if (!listener.tls().client_ca_file().empty()) return true;
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(listener.address());
  return endpoint.ok() && !endpoint->loopback;
}

int ParseUnixMode(const std::string& text) {
  if (text.empty()) return kDefaultUnixMode;
  int mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7' || mode > 0777) return -1;
    mode = mode * 8 + (c - '0');
  }
  return mode <= 0777 ? mode : -1;
}

}  // namespace postern::config

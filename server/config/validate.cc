#include "server/config/validate.h"

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/config/bounds.h"
#include "server/config/hosts.h"
#include "server/config/redact.h"
#include "server/config/session_options.h"
#include "server/config/validate_access.h"
#include "server/config/values.h"
#include "server/mail/address.h"
#include "server/mail/hold.h"

namespace postern::config {
namespace {

using google::protobuf::RepeatedPtrField;
namespace v1 = postern::v1;

constexpr absl::string_view kRequired = "required";

// Finds names that are there twice in one list.
class Unique {
 public:
  explicit Unique(Problems& problems) : problems_(problems) {}

  void Check(const std::string& key, const std::string& path) {
    const auto [first, is_new] = first_.emplace(key, path);
    if (!is_new) problems_.Add(path, absl::StrCat(Quoted(key), " is also ", first->second));
  }

 private:
  Problems& problems_;
  absl::flat_hash_map<std::string, std::string> first_;
};

class Validator {
 public:
  explicit Validator(Problems& problems) : problems_(problems) {}

  void CheckConfig(const v1::Config& config) {
    CheckServer(config.server());
    ValidateAccess(config, problems_);
    CheckModules(config.modules());
    CheckPolicy(config.policy());
    CheckOptions(config.options(), "options", true);
    CheckDomains(config.domains(), "domains");
    CheckBindings(config.bindings());
    CheckRoutes(config.routes());
    for (int i = 0; i < config.dns_servers_size(); ++i) {
      Report(Element("dns_servers", i), CheckNameServer(config.dns_servers(i)));
    }
    CheckBounds(config, "", problems_);
    CheckRedacted(config, "", problems_);
  }

 private:
  void Report(const std::string& path, const absl::Status& status) {
    if (!status.ok()) problems_.Add(path, status.message());
  }

  // A domain's name as it is compared; what is wrong with it is reported.
  void CheckDomain(const std::string& name, const std::string& path, Unique* unique) {
    if (name.empty()) return problems_.Add(path, kRequired);
    const absl::StatusOr<std::string> domain = mail::ParseDomain(name);
    Report(path, domain.status());
    if (domain.ok() && unique != nullptr) unique->Check(*domain, path);
  }

  void CheckServer(const v1::Server& server) {
    if (server.spool_directory().empty()) problems_.Add("server.spool_directory", kRequired);
    Unique unique(problems_);
    for (int i = 0; i < server.grpc_listeners_size(); ++i) {
      CheckListener(server.grpc_listeners(i), Element("server.grpc_listeners", i), unique);
    }
    if (!server.http_listener().empty()) {
      const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(server.http_listener());
      Report("server.http_listener", endpoint.status());
      if (endpoint.ok() && !endpoint->unix_path.empty()) {
        problems_.Add("server.http_listener", "must be an address with a port");
      }
      if (endpoint.ok() && endpoint->port != 0) {
        unique.Check(server.http_listener(), "server.http_listener");
      }
    }
    if (!server.hostname().empty()) CheckDomain(server.hostname(), "server.hostname", nullptr);
  }

  void CheckListener(const v1::GrpcListener& listener, const std::string& path, Unique& unique) {
    const std::string where = Join(path, "address");
    if (listener.address().empty()) return problems_.Add(where, kRequired);
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(listener.address());
    if (!endpoint.ok()) return Report(where, endpoint.status());
    if (!endpoint->loopback && !listener.has_tls() && !listener.insecure()) {
      problems_.Add(where, absl::StrCat(Quoted(listener.address()),
                                        " is not loopback, and whoever reaches it controls the "
                                        "service: add `tls`, or `insecure: true` if that is "
                                        "meant"));
    }
    if (endpoint->port != 0 || !endpoint->unix_path.empty()) {
      unique.Check(listener.address(), where);
    }
  }

  void CheckModules(const RepeatedPtrField<v1::Module>& modules) {
    Unique unique(problems_);
    for (int i = 0; i < modules.size(); ++i) {
      const std::string path = Element("modules", i);
      if (modules[i].path().empty()) problems_.Add(Join(path, "path"), kRequired);
      if (modules[i].name().empty()) continue;  // then it is the module's own
      Report(Join(path, "name"), CheckName(modules[i].name()));
      unique.Check(modules[i].name(), Join(path, "name"));
    }
  }

  void CheckPolicy(const v1::Policy& policy) {
    CheckCauses(policy.cause_defaults(), "policy.cause_defaults");
    Unique domains(problems_);
    for (int i = 0; i < policy.domains_size(); ++i) {
      const std::string path = Element("policy.domains", i);
      CheckGlob(policy.domains(i).domain(), Join(path, "domain"), domains);
      CheckCauses(policy.domains(i).cause_defaults(), Join(path, "cause_defaults"));
    }
    Unique providers(problems_);
    for (int i = 0; i < policy.providers_size(); ++i) {
      const v1::PolicyProviderRule& rule = policy.providers(i);
      const std::string path = Element("policy.providers", i);
      CheckProviderName(rule.name(), Join(path, "name"));
      if (!rule.name().empty()) providers.Check(rule.name(), Join(path, "name"));
      CheckCauses(rule.cause_defaults(), Join(path, "cause_defaults"));
    }
  }

  // As in Attach.provider: a rule for a name that can never attach would be a rule for nobody.
  void CheckProviderName(const std::string& name, const std::string& path) {
    if (name.empty()) return problems_.Add(path, kRequired);
    if (!CheckName(name).ok() || absl::AsciiStrToLower(name) != name) {
      problems_.Add(
          path, absl::StrCat("a provider's name has 1 to 64 of a-z 0-9 . _ -, not ", Quoted(name)));
    }
  }

  void CheckCauses(const RepeatedPtrField<v1::CauseDefault>& causes, const std::string& path) {
    Unique unique(problems_);
    for (int i = 0; i < causes.size(); ++i) {
      const std::string where = Element(path, i);
      if (causes[i].verdict() == v1::DEFAULT_VERDICT_UNSPECIFIED) {
        problems_.Add(Join(where, "verdict"), kRequired);
      }
      const auto* cause = v1::DefaultCause_descriptor()->FindValueByNumber(causes[i].cause());
      if (cause == nullptr || cause->number() == v1::DEFAULT_CAUSE_UNSPECIFIED) {
        problems_.Add(Join(where, "cause"), kRequired);
      } else if (cause->number() == v1::DEFAULT_CAUSE_FORCED_KEEP) {
        problems_.Add(Join(where, "cause"), "forced_keep is always keep");
      } else {
        unique.Check(ShortName(*cause), Join(where, "cause"));
      }
    }
  }

  void CheckGlob(const std::string& glob, const std::string& path, Unique& unique) {
    if (glob.empty()) return problems_.Add(path, kRequired);
    Report(path, CheckDomainGlob(glob));
    unique.Check(mail::NormalDomain(glob), path);
  }

  void CheckBindings(const RepeatedPtrField<v1::BindingConfig>& bindings) {
    Unique unique(problems_);
    for (int i = 0; i < bindings.size(); ++i) {
      const std::string path = Element("bindings", i);
      if (bindings[i].name().empty()) {
        problems_.Add(Join(path, "name"), kRequired);
      } else {
        Report(Join(path, "name"), CheckName(bindings[i].name()));
        unique.Check(bindings[i].name(), Join(path, "name"));
      }
      CheckOptions(bindings[i].options(), Join(path, "options"), false);
      CheckDomains(bindings[i].domains(), Join(path, "domains"));
    }
  }

  void CheckDomains(const RepeatedPtrField<v1::DomainConfig>& domains, const std::string& path) {
    Unique unique(problems_);
    for (int i = 0; i < domains.size(); ++i) {
      const std::string where = Element(path, i);
      CheckDomain(domains[i].name(), Join(where, "name"), &unique);
      CheckOptions(domains[i].options(), Join(where, "options"), false);
    }
  }

  void CheckRoutes(const RepeatedPtrField<v1::Route>& routes) {
    Unique unique(problems_);
    for (int i = 0; i < routes.size(); ++i) {
      const std::string path = Element("routes", i);
      CheckGlob(routes[i].domain(), Join(path, "domain"), unique);
      const std::string hosts = Join(path, "hosts");
      if (routes[i].hosts().empty()) problems_.Add(hosts, kRequired);
      for (int k = 0; k < routes[i].hosts_size(); ++k) {
        Report(Element(hosts, k), ParseHostPort(routes[i].hosts(k)).status());
      }
    }
  }

  void CheckOptions(const v1::Options& options, const std::string& path, bool widest) {
    if (!widest && options.has_drain_budget()) {
      problems_.Add(Join(path, "drain_budget"), "only the widest scope has it: options");
    }
    if (!widest && options.has_max_message_bytes()) {
      problems_.Add(Join(path, "max_message_bytes"), "only the widest scope has it: options");
    }
    // A field without presence: a count of 0 is the same as none.
    if (options.has_redial_rate() && options.redial_rate().count() == 0) {
      problems_.Add(Join(path, "redial_rate.count"), "required, and more than 0");
    }
    if (options.has_gateway()) CheckGateway(options.gateway(), Join(path, "gateway"));
    CheckSession(options, path, problems_);
    if (!options.ehlo_hostname().empty()) {
      CheckDomain(options.ehlo_hostname(), Join(path, "ehlo_hostname"), nullptr);
    }
    const std::string prohibited = Join(path, "prohibited_hosts");
    for (int i = 0; i < options.prohibited_hosts_size(); ++i) {
      const std::string& block = options.prohibited_hosts(i);
      if (block != "none") {
        Report(Element(prohibited, i), ParseAddressBlock(block).status());
      } else if (options.prohibited_hosts_size() > 1) {
        problems_.Add(Element(prohibited, i), "\"none\" must be the only entry");
      }
    }
    const std::string skipped = Join(path, "skip_hosts");
    for (int i = 0; i < options.skip_hosts_size(); ++i) {
      Report(Element(skipped, i), ParseAddressBlock(options.skip_hosts(i)).status());
    }
  }

  void CheckGateway(const v1::Gateway& gateway, const std::string& path) {
    const std::string where = Join(path, "host");
    if (gateway.host().empty()) return problems_.Add(where, kRequired);
    const absl::StatusOr<mail::HostPort> host = ParseHostPort(gateway.host());
    if (!host.ok()) return Report(where, host.status());
    if (host->port != 0) problems_.Add(where, "the port is a key of its own: port");
  }

  Problems& problems_;
};

}  // namespace

void Validate(const postern::v1::Config& config, Problems& problems) {
  Validator(problems).CheckConfig(config);
}

}  // namespace postern::config

#include "server/config/environment.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/config/values.h"

namespace postern::config {
namespace {

namespace v1 = postern::v1;

constexpr char kSpoolDirectory[] = "POSTERN_SPOOL_DIRECTORY";
constexpr char kGrpcListener[] = "POSTERN_GRPC_LISTENER";
constexpr char kHttpListener[] = "POSTERN_HTTP_LISTENER";
constexpr char kHostname[] = "POSTERN_HOSTNAME";
constexpr char kLogLevel[] = "POSTERN_LOG_LEVEL";
constexpr char kCertificateFile[] = "POSTERN_TLS_CERTIFICATE_FILE";
constexpr char kKeyFile[] = "POSTERN_TLS_KEY_FILE";
constexpr char kClientCaFile[] = "POSTERN_TLS_CLIENT_CA_FILE";
constexpr char kTlsDirectory[] = "POSTERN_TLS_DIRECTORY";
constexpr char kDispositionLog[] = "POSTERN_DISPOSITION_LOG";
constexpr char kAuditLog[] = "POSTERN_AUDIT_LOG";
constexpr char kSwitchFile[] = "POSTERN_SWITCH_FILE";

// Where TLS is served when nothing says where.
constexpr char kTlsListener[] = "[::]:9090";

// In the order in which an error finds its variable: the longer path first.
struct Variable {
  const char* name;
  const char* path;  // what it sets; after a list, the member
  const char* help;
};
constexpr Variable kVariables[] = {
    {kSpoolDirectory, "server.spool_directory", "directory of the spool"},
    {kHttpListener, "server.http_listener", "address of metrics and probes"},
    {kHostname, "server.hostname", "the host's own name"},
    {kLogLevel, "server.log_level", "debug, info, warning or error"},
    {kCertificateFile, ".tls.certificate_file", "TLS of every gRPC listener on TCP: certificate"},
    {kKeyFile, ".tls.key_file", "its key"},
    {kClientCaFile, ".tls.client_ca_file", "whose certificates clients must show"},
    {kTlsDirectory, ".tls", "directory of tls.crt, tls.key and ca.crt, used once they are there"},
    {kGrpcListener, "server.grpc_listeners", "gRPC addresses, separated by commas"},
    {kDispositionLog, "server.disposition_log.path", "file of the disposition log"},
    {kAuditLog, "policy.audit_log.path", "file of the audit log of policy"},
    {kSwitchFile, "policy.switch_file", "file that switches remote policy off while it exists"},
};

bool IsUnix(const v1::GrpcListener& listener) {
  return absl::StartsWith(listener.address(), "unix:");
}

class Overlay {
 public:
  Overlay(const Environment& environment, LoadedConfig& loaded)
      : environment_(environment), loaded_(loaded), server_(*loaded.config.mutable_server()) {}

  absl::Status Apply() {
    if (const std::string* value = Find(kSpoolDirectory)) server_.set_spool_directory(*value);
    if (const std::string* value = Find(kHttpListener)) server_.set_http_listener(*value);
    if (const std::string* value = Find(kHostname)) server_.set_hostname(*value);
    if (const std::string* value = Find(kLogLevel)) SetLogLevel(*value);
    if (const std::string* value = Find(kGrpcListener)) SetListeners(*value);
    if (const std::string* value = Find(kDispositionLog)) {
      server_.mutable_disposition_log()->set_path(*value);
    }
    // Not before there is one: a policy that says nothing is another configuration than none.
    if (const std::string* value = Find(kAuditLog)) {
      loaded_.config.mutable_policy()->mutable_audit_log()->set_path(*value);
    }
    if (const std::string* value = Find(kSwitchFile)) {
      loaded_.config.mutable_policy()->set_switch_file(*value);
    }
    const bool directory = ApplyTlsDirectory();
    ApplyTlsFiles();
    if (used_.empty() && !directory) return absl::OkStatus();
    Judge(FindProblems(loaded_.config));
    if (errors_.empty()) return absl::OkStatus();
    return WithProblems(absl::InvalidArgumentError(absl::StrJoin(errors_, "\n")), problems_);
  }

 private:
  // Null: not set.
  const std::string* Find(const char* name) {
    const std::optional<std::string> value = environment_(name);
    if (!value.has_value() || value->empty()) return nullptr;
    value_ = *value;
    used_.emplace_back(name);
    if (absl::string_view(name) != kTlsDirectory) {
      loaded_.notes.push_back(absl::StrCat(name, "=", value_, " goes before ", loaded_.source));
    }
    return &value_;
  }

  void SetLogLevel(const std::string& value) {
    const absl::StatusOr<int> level = ParseEnum(value, *v1::LogLevel_descriptor());
    if (level.ok()) return server_.set_log_level(static_cast<v1::LogLevel>(*level));
    AddError(absl::StrCat(kLogLevel, ": ", level.status().message()), "server.log_level");
  }

  void SetListeners(const std::string& value) {
    server_.clear_grpc_listeners();
    for (absl::string_view address : absl::StrSplit(value, ',')) {
      server_.add_grpc_listeners()->set_address(std::string(absl::StripAsciiWhitespace(address)));
    }
    listeners_given_ = true;
  }

  // True when certificates of the directory are in force.
  bool ApplyTlsDirectory() {
    const std::string* found = Find(kTlsDirectory);
    if (found == nullptr) return false;
    const std::string directory = *found;
    const std::string certificate = absl::StrCat(directory, "/tls.crt");
    if (access(certificate.c_str(), F_OK) != 0) {
      loaded_.notes.push_back(absl::StrCat(
          "no ", certificate, ": gRPC is served as the configuration says, by default on loopback ",
          "and a unix socket only. Mount tls.crt, tls.key and ca.crt (the clients' CA) in ",
          directory, " and it is served with TLS on ", kTlsListener));
      return false;
    }
    bool placed = listeners_given_;
    for (const v1::GrpcListener& listener : server_.grpc_listeners()) {
      placed = placed || listener.has_tls();
    }
    if (!placed) {
      google::protobuf::RepeatedPtrField<v1::GrpcListener> kept;
      for (const v1::GrpcListener& listener : server_.grpc_listeners()) {
        if (IsUnix(listener)) *kept.Add() = listener;
      }
      kept.Add()->set_address(kTlsListener);
      *server_.mutable_grpc_listeners() = std::move(kept);
    }
    for (v1::GrpcListener& listener : *server_.mutable_grpc_listeners()) {
      if (IsUnix(listener) || listener.has_tls()) continue;
      listener.mutable_tls()->set_certificate_file(certificate);
      listener.mutable_tls()->set_key_file(absl::StrCat(directory, "/tls.key"));
      listener.mutable_tls()->set_client_ca_file(absl::StrCat(directory, "/ca.crt"));
    }
    loaded_.notes.push_back(absl::StrCat(certificate, " is there: gRPC on TCP is served with TLS"));
    return true;
  }

  void ApplyTlsFiles() {
    if (const std::string* value = Find(kCertificateFile)) {
      ForEachTls([&](v1::TlsFiles& tls) { tls.set_certificate_file(*value); });
    }
    if (const std::string* value = Find(kKeyFile)) {
      ForEachTls([&](v1::TlsFiles& tls) { tls.set_key_file(*value); });
    }
    if (const std::string* value = Find(kClientCaFile)) {
      ForEachTls([&](v1::TlsFiles& tls) { tls.set_client_ca_file(*value); });
    }
  }

  template <typename Change>
  void ForEachTls(Change change) {
    if (server_.grpc_listeners().empty()) server_.add_grpc_listeners()->set_address(kTlsListener);
    for (v1::GrpcListener& listener : *server_.mutable_grpc_listeners()) {
      if (!IsUnix(listener)) change(*listener.mutable_tls());
    }
  }

  bool Used(const char* name) const {
    for (const std::string& used : used_) {
      if (used == name) return true;
    }
    return false;
  }

  // The file was good before: each error is some variable's, found by the path.
  void Judge(const std::vector<Problem>& problems) {
    for (const Problem& problem : problems) {
      AddError(absl::StrCat(Blamed(problem.path), ": ", problem.path, ": ", problem.cause),
               problem.path);
    }
  }

  void AddError(std::string text, const std::string& path) {
    problems_.push_back({0, path, text});
    errors_.push_back(std::move(text));
  }

  // The variable that set what stands at `path`; or, for a file of TLS that is missing, the one
  // that would set it.
  const char* Blamed(absl::string_view path) const {
    const Variable* missing = nullptr;
    for (const Variable& variable : kVariables) {
      const bool hit = variable.path[0] == '.' ? absl::StrContains(path, variable.path)
                                               : absl::StartsWith(path, variable.path);
      if (!hit) continue;
      const bool is_file = variable.path[0] == '.';
      if (Used(variable.name) && (is_file || missing == nullptr)) return variable.name;
      if (is_file && missing == nullptr) missing = &variable;
    }
    return missing == nullptr ? "environment" : missing->name;
  }

  const Environment& environment_;
  LoadedConfig& loaded_;
  v1::Server& server_;
  std::string value_;
  std::vector<std::string> used_;
  std::vector<std::string> errors_;  // one line each
  std::vector<Problem> problems_;    // the same
  bool listeners_given_ = false;
};

}  // namespace

absl::StatusOr<LoadedConfig> ApplyEnvironment(const Environment& environment, LoadedConfig loaded) {
  if (absl::Status status = Overlay(environment, loaded).Apply(); !status.ok()) return status;
  return loaded;
}

std::string EnvironmentHelp() {
  std::string help = "Environment, goes before the file (an empty variable is not set):\n";
  for (const Variable& variable : kVariables) {
    absl::StrAppendFormat(&help, "  %-29s %s\n", variable.name, variable.help);
  }
  return help;
}

}  // namespace postern::config

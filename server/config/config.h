// Config: the configuration file, read and checked.
//
//   absl::StatusOr<LoadedConfig> loaded = config::Load("/etc/postern/postern.yaml");
//   if (!loaded.ok()) ...  // one line for each error: "file:line: path: cause"
//   Settings settings = SettingsOf(loaded->config);            // settings.h: the process
//   OptionsResolver options(loaded->config);                   // options_resolver.h: delivery
//   loaded->config.policy(), .modules(), .dns_servers()        // as they are
//
// The schema is proto/postern/v1/config.proto. Thread: any.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "postern/v1/config.pb.h"
#include "server/config/problems.h"

namespace postern::config {

struct LoadedConfig {
  std::string source;  // the file's name, for messages
  postern::v1::Config config;
  std::vector<std::string> notes;  // for the log: what the environment changed
};

// The value of an environment variable; nullopt: not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> ProcessEnvironment(const char* name);

// Reads a file and puts the environment over it (environment.h). INVALID_ARGUMENT with all errors,
// one a line; what is not there is not a default: an unreadable file is INVALID_ARGUMENT too,
// naming file and cause.
absl::StatusOr<LoadedConfig> Load(const std::string& path,
                                  const Environment& environment = ProcessEnvironment);

// The same for YAML at hand, without the environment; `name` stands for the file in the errors.
absl::StatusOr<LoadedConfig> LoadText(const std::string& name, const std::string& text);

// Checks a configuration that came by another way (a call): "path: cause" for each error.
absl::Status Check(const postern::v1::Config& config);

// The same two for those who want the errors one by one; what is read is of use if there are none.
std::vector<Problem> ReadText(const std::string& text, postern::v1::Config* config);
std::vector<Problem> FindProblems(const postern::v1::Config& config);

}  // namespace postern::config

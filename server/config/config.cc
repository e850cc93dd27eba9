#include "server/config/config.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "server/config/environment.h"
#include "server/config/validate.h"
#include "server/config/yaml_walker.h"

namespace postern::config {
namespace {

// WalkYaml refuses this much; reading on (a device, a log given by mistake) would be of no use.
constexpr std::size_t kMostBytes = (std::size_t{16} << 20) + 1;

void Read(const std::string& text, postern::v1::Config& config, Problems& problems) {
  WalkYaml(text, config, problems);
  if (!problems.nothing_readable()) Validate(config, problems);
}

absl::Status CannotRead(const std::string& path, int error) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read: ", std::strerror(error)));
}

}  // namespace

std::optional<std::string> ProcessEnvironment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

absl::StatusOr<LoadedConfig> Load(const std::string& path, const Environment& environment) {
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (file == nullptr) return CannotRead(path, errno);
  std::string text;
  char buffer[1 << 16];
  while (text.size() < kMostBytes) {
    const std::size_t n = std::fread(buffer, 1, sizeof(buffer), file.get());
    if (n == 0) break;
    text.append(buffer, n);
  }
  if (std::ferror(file.get()) != 0) return CannotRead(path, errno);
  absl::StatusOr<LoadedConfig> loaded = LoadText(path, text);
  if (!loaded.ok()) return loaded;
  return ApplyEnvironment(environment, *std::move(loaded));
}

absl::StatusOr<LoadedConfig> LoadText(const std::string& name, const std::string& text) {
  LoadedConfig loaded;
  loaded.source = name;
  Problems problems(name);
  Read(text, loaded.config, problems);
  if (absl::Status status = problems.ToStatus(); !status.ok()) return status;
  return loaded;
}

absl::Status Check(const postern::v1::Config& config) {
  Problems problems("");
  Validate(config, problems);
  return problems.ToStatus();
}

std::vector<Problem> ReadText(const std::string& text, postern::v1::Config* config) {
  Problems problems("");
  Read(text, *config, problems);
  return problems.List();
}

std::vector<Problem> FindProblems(const postern::v1::Config& config) {
  Problems problems("");
  Validate(config, problems);
  std::vector<Problem> list = problems.List();
  for (Problem& problem : list) problem.line = 0;  // it came from no text
  return list;
}

}  // namespace postern::config

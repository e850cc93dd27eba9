// Loading YAML in a test: errors as lines, or the configuration.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/config/config.h"

namespace postern::config {

// What is wrong with `yaml`, each error as it is printed for the file "f"; empty: nothing.
inline std::vector<std::string> Errors(const std::string& yaml) {
  const absl::StatusOr<LoadedConfig> loaded = LoadText("f", yaml);
  if (loaded.ok()) return {};
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  return absl::StrSplit(std::string(loaded.status().message()), '\n');
}

// A directory that no other process has, which goes with it.
class TempDirectory {
 public:
  TempDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "postern-config-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The shortest good file is this line; what follows begins in line 2.
inline constexpr char kServer[] = "server: {spool_directory: /s}\n";

inline std::vector<std::string> ErrorsAfterServer(const std::string& yaml) {
  return Errors(absl::StrCat(kServer, yaml));
}

// Of a file whose fourth line is this entry of server.grpc_listeners, and `rest` the lines below.
inline std::vector<std::string> ListenerErrors(const std::string& entry,
                                               const std::string& rest = "") {
  return Errors(
      absl::StrCat("server:\n  spool_directory: /s\n  grpc_listeners:\n  - ", entry, "\n", rest));
}

inline postern::v1::Config Loaded(const std::string& yaml) {
  const absl::StatusOr<LoadedConfig> loaded = LoadText("f", absl::StrCat(kServer, yaml));
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? loaded->config : postern::v1::Config();
}

}  // namespace postern::config

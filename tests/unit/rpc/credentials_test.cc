// Files of TLS that change while the service runs.
#include "server/rpc/credentials.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/rpc/fixture.h"
#include "tests/unit/rpc/log_lines.h"

namespace postern::rpc {
namespace {

class PemFilesTest : public testing::Test {
 protected:
  PemFilesTest() {
    char name[] = "/tmp/postern-pem-XXXXXX";
    directory_ = mkdtemp(name);
    Write("first");
  }
  ~PemFilesTest() override { std::filesystem::remove_all(directory_); }

  // A certificate and a key as far as they are looked at here, put in the place of what was there.
  void Write(const std::string& text) {
    Put("tls.crt", "-----BEGIN CERTIFICATE-----\n" + text);
    Put("tls.key", "-----BEGIN PRIVATE KEY-----\n" + text);
  }
  void Put(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/new") << text;
    std::filesystem::rename(directory_ + "/new", directory_ + "/" + name);
  }
  PemFiles Files() {
    return PemFiles({directory_ + "/tls.crt", directory_ + "/tls.key", "", false});
  }

  const absl::Time start_ = absl::UnixEpoch();
  std::string directory_;
};

// No descriptor can be opened while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int next = dup(STDERR_FILENO);
    close(next);
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(next);
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(PemFilesTest, AreReadOnceUnlessTheyChange) {
  PemFiles files = Files();
  const auto first = files.ReadIfChanged(start_);
  ASSERT_TRUE(first.ok() && first->has_value());
  EXPECT_TRUE(absl::EndsWith((*first)->key, "first"));
  const auto again = files.ReadIfChanged(start_);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->has_value());
  Write("second");
  const auto second = files.ReadIfChanged(start_);
  ASSERT_TRUE(second.ok() && second->has_value());
  EXPECT_TRUE(absl::EndsWith((*second)->key, "second"));
}

TEST_F(PemFilesTest, WhatCouldNotBeReadOnceIsReadLater) {
  PemFiles files = Files();
  ASSERT_TRUE(files.ReadIfChanged(start_).ok());
  Write("renewed");
  {
    const NoDescriptors none;
    EXPECT_FALSE(files.ReadIfChanged(start_).ok());
  }
  const auto renewed = files.ReadIfChanged(start_);
  ASSERT_TRUE(renewed.ok());
  ASSERT_TRUE(renewed->has_value()) << "a renewal that is missed ends in an expired certificate";
  EXPECT_TRUE(absl::EndsWith((*renewed)->certificate, "renewed"));
}

TEST_F(PemFilesTest, OneFaultIsOneLineAMinute) {
  const LogLines lines;
  PemFiles files = Files();
  ASSERT_TRUE(files.ReadIfChanged(start_).ok());
  std::filesystem::remove(directory_ + "/tls.key");
  for (int second = 0; second < 60; ++second) {
    EXPECT_FALSE(files.ReadIfChanged(start_ + absl::Seconds(second)).ok());
  }
  EXPECT_EQ(lines.With("what was in force stays").size(), 1U);
  std::filesystem::remove(directory_ + "/tls.crt");
  EXPECT_FALSE(files.ReadIfChanged(start_ + absl::Seconds(59)).ok());
  EXPECT_EQ(lines.With("what was in force stays").size(), 2U) << "another fault";
  EXPECT_FALSE(files.ReadIfChanged(start_ + absl::Seconds(119)).ok());
  EXPECT_EQ(lines.With("what was in force stays").size(), 3U);
}

}  // namespace
}  // namespace postern::rpc

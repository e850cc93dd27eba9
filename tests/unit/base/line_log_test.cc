#include "server/base/line_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace postern::base {
namespace {

namespace fs = std::filesystem;

class TestClock final : public Clock {
 public:
  absl::Time Now() const override { return Steady(); }
  absl::Time Steady() const override {
    return absl::FromUnixSeconds(seconds.load(std::memory_order_relaxed));
  }
  std::atomic<std::int64_t> seconds{1'000'000};
};

class LineLogTest : public ::testing::Test {
 protected:
  LineLogTest() {
    std::string pattern = (fs::temp_directory_path() / "postern-lines-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    options_.path = directory_ + "/log";
  }
  ~LineLogTest() override { fs::remove_all(directory_); }

  // Opens, adds, and closes, upon which all is written.
  void AddAll(const std::vector<std::string>& lines) {
    auto log = LineLog::Open(options_, clock_, metrics_);
    ASSERT_TRUE(log.ok()) << log.status();
    for (const std::string& line : lines) (*log)->Add(line);
  }
  std::string Read(const std::string& suffix = "") {
    std::ifstream file(options_.path + suffix);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string directory_;
  LineLog::Options options_;
  TestClock clock_;
  Registry registry_;
  LineLog::Metrics metrics_{registry_.AddCounter("lines_total", ""),
                            registry_.AddCounter("dropped_total", ""),
                            registry_.AddCounter("errors_total", "")};
};

TEST_F(LineLogTest, AppendsInOrder) {
  AddAll({"one", "two"});
  AddAll({"three"});
  EXPECT_EQ(Read(), "one\ntwo\nthree\n");
  EXPECT_EQ(metrics_.lines.value(), 3u);
  EXPECT_EQ(metrics_.dropped.value(), 0u);
}

TEST_F(LineLogTest, RotatesBySizeAndKeepsSoMany) {
  options_.max_bytes = 1;
  options_.keep_files = 2;
  for (const char* line : {"a", "b", "c", "d"}) AddAll({line});
  EXPECT_EQ(Read(), "d\n");
  EXPECT_EQ(Read(".1"), "c\n");
  EXPECT_EQ(Read(".2"), "b\n");
  EXPECT_FALSE(fs::exists(options_.path + ".3"));
  EXPECT_EQ(metrics_.errors.value(), 0u);
}

TEST_F(LineLogTest, RotatesByAge) {
  options_.max_age = absl::Hours(1);
  auto log = LineLog::Open(options_, clock_, metrics_);
  ASSERT_TRUE(log.ok());
  (*log)->Add("old");
  while (metrics_.lines.value() < 1) std::this_thread::yield();
  clock_.seconds += 3600;
  (*log)->Add("new");
  log->reset();
  EXPECT_EQ(Read(), "new\n");
  EXPECT_EQ(Read(".1"), "old\n");
}

TEST_F(LineLogTest, DropsAndCountsWhatDoesNotFit) {
  options_.max_waiting_bytes = 10;
  AddAll({"a line that is longer than all that may wait"});
  EXPECT_EQ(Read(), "");
  EXPECT_EQ(metrics_.dropped.value(), 1u);
}

TEST_F(LineLogTest, DropsAndCountsWhatTheDiskRefuses) {
  if (!fs::exists("/dev/full")) GTEST_SKIP();
  options_.path = "/dev/full";
  AddAll({"x", "y"});
  EXPECT_EQ(metrics_.lines.value(), 0u);
  EXPECT_EQ(metrics_.dropped.value(), 2u);
  EXPECT_GE(metrics_.errors.value(), 1u);
}

TEST_F(LineLogTest, SaysWhyItCannotBeOpened) {
  options_.path = directory_ + "/not/there";
  const auto log = LineLog::Open(options_, clock_, metrics_);
  EXPECT_EQ(log.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(log.status().message(),
            absl::StrCat("cannot write ", options_.path, ": No such file or directory"));
}

}  // namespace
}  // namespace postern::base

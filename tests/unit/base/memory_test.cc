#include "server/base/memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace postern::base {
namespace {

namespace fs = std::filesystem;

class ControlGroupTest : public ::testing::Test {
 protected:
  ControlGroupTest() {
    std::string pattern = (fs::temp_directory_path() / "postern-cgroup-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  ~ControlGroupTest() override { fs::remove_all(root_); }

  void Put(const std::string& path, const std::string& text) {
    fs::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
    std::ofstream(root_ + path) << text;
  }
  std::optional<ControlGroupMemory::Use> Use() {
    const auto group = ControlGroupMemory::Find(root_);
    return group.has_value() ? group->Read() : std::nullopt;
  }

  std::string root_;
};

TEST_F(ControlGroupTest, ReadsVersion2WithoutThePageCache) {
  Put("/proc/self/cgroup", "0::/pod/mail\n");
  Put("/sys/fs/cgroup/pod/mail/memory.max", "1000000\n");
  Put("/sys/fs/cgroup/pod/mail/memory.current", "700000\n");
  Put("/sys/fs/cgroup/pod/mail/memory.stat", "anon 500000\ninactive_file 150000\n");
  const auto use = Use();
  ASSERT_TRUE(use.has_value());
  EXPECT_EQ(use->limit, 1'000'000u);
  EXPECT_EQ(use->used, 550'000u);
}

TEST_F(ControlGroupTest, TheLowestLimitOnTheWayUpCounts) {
  Put("/proc/self/cgroup", "0::/pod/mail\n");
  Put("/sys/fs/cgroup/pod/mail/memory.max", "max\n");
  Put("/sys/fs/cgroup/pod/memory.max", "5000\n");
  Put("/sys/fs/cgroup/pod/memory.current", "4000\n");
  const auto use = Use();
  ASSERT_TRUE(use.has_value());
  EXPECT_EQ(use->limit, 5000u);
  EXPECT_EQ(use->used, 4000u);
}

TEST_F(ControlGroupTest, ReadsVersion1) {
  Put("/proc/self/cgroup", "5:cpu,memory:/docker/abc\n0::/\n");
  Put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "2000\n");
  Put("/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "1500\n");
  Put("/sys/fs/cgroup/memory/docker/abc/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n");
  const auto use = Use();
  ASSERT_TRUE(use.has_value());
  EXPECT_EQ(use->limit, 2000u);
  EXPECT_EQ(use->used, 1200u);
}

TEST_F(ControlGroupTest, InAContainerTheMountIsTheGroup) {
  Put("/proc/self/cgroup", "5:memory:/docker/abc\n");  // a path of the host, not mounted here
  Put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n");
  Put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1500\n");
  EXPECT_EQ(Use()->limit, 2000u);
}

TEST_F(ControlGroupTest, NoLimitIsNoGroup) {
  EXPECT_FALSE(ControlGroupMemory::Find(root_).has_value());
  Put("/proc/self/cgroup", "5:memory:/\n0::/\n");
  Put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Put("/sys/fs/cgroup/memory.max", "max\n");
  EXPECT_FALSE(ControlGroupMemory::Find(root_).has_value());
}

TEST(ResidentBytes, IsSomething) { EXPECT_GT(ResidentBytes(), 100'000u); }

TEST(HeapTrim, GivesBackWhatLiesBetweenSmallThings) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the heap is the sanitizer's";
#endif
  constexpr std::size_t kBlocks = 1000;
  constexpr std::size_t kBytes = 16384;
  HeapTrim heap;
  heap.Look();
  std::vector<std::unique_ptr<std::string>> blocks;
  std::vector<std::unique_ptr<std::string>> small;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    blocks.push_back(std::make_unique<std::string>(kBytes, 'x'));
    small.push_back(std::make_unique<std::string>(100, 'y'));
  }
  blocks.clear();
  const std::uint64_t before = ResidentBytes();
  heap.Look();
  EXPECT_LT(ResidentBytes() + kBlocks * kBytes / 2, before);
}

}  // namespace
}  // namespace postern::base

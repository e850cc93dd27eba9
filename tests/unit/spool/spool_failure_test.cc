// A disk that refuses writes. Each scenario runs in a process of its own: it changes the process's
// mounts or limits before the first of RocksDB's threads starts.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <set>

#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

struct Filled {
  std::set<base::Id> acknowledged;
  std::set<base::Id> refused;
  absl::Status refusal;
};

std::vector<base::Id> Ids(const Spool& spool) {
  std::vector<base::Id> ids;
  for (const mail::Row& row : AllRows(spool)) ids.push_back(row.message_id);
  return ids;
}

// Stores until a Store is refused.
Filled FillUp(Spool& spool, std::size_t content_bytes) {
  Filled filled;
  for (int i = 0; i < 10000 && filled.refused.empty(); ++i) {
    const base::Id id = base::NewId(TestTime() + absl::Seconds(i));
    const absl::Status status = StoreNow(spool, std::string(content_bytes, 'x'), MakeRows(id, 1));
    if (!status.ok()) filled.refusal = status;
    (status.ok() ? filled.acknowledged : filled.refused).insert(id);
  }
  return filled;
}

// While the disk refuses: nothing is lost, nothing is answered wrongly. Then `repair`, and all that
// waited is written. REQUIRES: filled.refused is not empty.
void ExpectHeldUpAndThenWritten(const std::string& directory, std::unique_ptr<RocksSpool> spool,
                                Filled filled, const std::function<void()>& repair) {
  EXPECT_FALSE(spool->healthy());
  EXPECT_FALSE(StoreNow(*spool, "content", MakeRows(base::NewId(TestTime()), 1)).ok());

  ASSERT_GE(filled.acknowledged.size(), 3U);
  auto at = filled.acknowledged.begin();
  mail::Row updated = MakeRow(*at++);
  const base::Id removed = *at++;
  updated.attempts = 7;
  spool->Update(updated, {});
  spool->Remove(removed, 1);
  const Ticket ticket = spool->MarkAttempt(MakeRow(*at), {});
  EXPECT_FALSE(spool->IsWritten(ticket));

  repair();
  WaitUntilWritten(*spool, ticket);
  EXPECT_TRUE(spool->healthy());
  EXPECT_EQ(7U, spool->ReadRows(updated.message_id)->front().attempts);
  const base::Id fresh = base::NewId(TestTime() + absl::Hours(1));
  EXPECT_TRUE(StoreNow(*spool, "content", MakeRows(fresh, 1)).ok());

  filled.acknowledged.erase(removed);
  filled.acknowledged.insert(fresh);
  const std::vector<base::Id> expected(filled.acknowledged.begin(), filled.acknowledged.end());
  EXPECT_EQ(expected, Ids(*spool));
  spool.reset();
  base::Registry registry;
  const auto again = OpenSpool(directory, 0, &registry);
  EXPECT_EQ(expected, Ids(*again));  // and none that was refused
  for (const base::Id& id : expected) EXPECT_TRUE(again->ReadContent(id).ok());
  EXPECT_TRUE(absl::IsNotFound(again->ReadContent(removed).status()));
  for (const base::Id& id : filled.refused) {
    EXPECT_TRUE(absl::IsNotFound(again->ReadContent(id).status()));
  }
  EXPECT_EQ(0U, registry.AddCounter("postern_spool_log_salvages_total", "").value());
}

int RunScenario(const std::string& test) {
  TempDir dir;
  const int status = RunChild("SpoolFailureChild.DISABLED_" + test, dir.path());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

// Mounts a small file system in a mount namespace of this process; ends it if that is not allowed.
void MountSmallDisk(const std::string& directory, const char* size) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", directory.c_str(), "tmpfs", 0, size) != 0) {
    std::_Exit(kSkipExit);
  }
}

TEST(SpoolFailureChild, DISABLED_DiskFull) {
  const std::string root = ChildDirectory();
  ASSERT_FALSE(root.empty());
  MountSmallDisk(root, "size=48m");
  const std::string ballast = root + "/ballast";
  std::ofstream(ballast) << std::string(32 << 20, 'b');
  const std::string directory = root + "/spool";
  auto spool = OpenSpool(directory);
  Filled filled = FillUp(*spool, 64 * 1024);
  ASSERT_FALSE(filled.refused.empty());
  EXPECT_TRUE(absl::IsResourceExhausted(filled.refusal)) << filled.refusal;
  for (const base::Id& id : filled.acknowledged) EXPECT_TRUE(spool->ReadContent(id).ok());
  ExpectHeldUpAndThenWritten(directory, std::move(spool), std::move(filled),
                             [&] { std::filesystem::remove(ballast); });
}

TEST(SpoolFailureTest, SurvivesAFullDiskAndGoesOnWhenThereIsRoom) {
  const int exit = RunScenario("DiskFull");
  if (exit == kSkipExit) GTEST_SKIP() << "mounting is not allowed here";
  EXPECT_EQ(0, exit);
}

// Full from the first write on: there is nothing in memory that could be flushed.
TEST(SpoolFailureChild, DISABLED_DiskFullAtOnce) {
  const std::string root = ChildDirectory();
  ASSERT_FALSE(root.empty());
  MountSmallDisk(root, "size=8m");
  const std::string directory = root + "/spool";
  auto spool = OpenSpool(directory);
  const std::string ballast = root + "/ballast";
  std::ofstream(ballast) << std::string(7 << 20, 'b');
  const base::Id refused = base::NewId(TestTime());
  const std::string content(4 << 20, 'x');
  EXPECT_TRUE(absl::IsResourceExhausted(StoreNow(*spool, content, MakeRows(refused, 1))));
  EXPECT_FALSE(spool->healthy());
  std::filesystem::remove(ballast);
  WaitUntilWritten(*spool, spool->MarkAttempt(MakeRow(base::NewId(TestTime())), {}));
  EXPECT_TRUE(spool->healthy());
  const base::Id fresh = base::NewId(TestTime());
  EXPECT_TRUE(StoreNow(*spool, "content", MakeRows(fresh, 1)).ok());
  spool.reset();
  spool = OpenSpool(directory);
  EXPECT_EQ(std::vector<base::Id>{fresh}, Ids(*spool));
}

TEST(SpoolFailureTest, RecoversFromADiskThatWasFullAtTheFirstWrite) {
  const int exit = RunScenario("DiskFullAtOnce");
  if (exit == kSkipExit) GTEST_SKIP() << "mounting is not allowed here";
  EXPECT_EQ(0, exit);
}

// A file size limit stands for an I/O error that RocksDB does not take for a full disk: it gives
// the database up, and the spool opens it again.
TEST(SpoolFailureChild, DISABLED_IoError) {
  const std::string directory = ChildDirectory();
  ASSERT_FALSE(directory.empty());
  signal(SIGXFSZ, SIG_IGN);
  base::Registry registry;
  auto spool = OpenSpool(directory, 0, &registry);
  rlimit limit{};
  ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &limit));
  const rlim_t unlimited = limit.rlim_cur;
  limit.rlim_cur = 256 * 1024;
  ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
  Filled filled = FillUp(*spool, 20000);
  ASSERT_FALSE(filled.refused.empty());
  EXPECT_TRUE(absl::IsUnavailable(filled.refusal)) << filled.refusal;
  ExpectHeldUpAndThenWritten(directory, std::move(spool), std::move(filled), [&] {
    limit.rlim_cur = unlimited;
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
  });
  EXPECT_GE(registry.AddCounter("postern_spool_write_errors_total", "").value(), 1U);
}

TEST(SpoolFailureTest, OpensAgainAfterAnIoError) { EXPECT_EQ(0, RunScenario("IoError")); }

// Or as much of that as there is.
void Occupy(const std::string& file, std::size_t bytes) {
  const std::string piece(1 << 20, 'b');
  std::ofstream out(file);
  for (std::size_t done = 0; done < bytes && out; done += piece.size()) out << piece;
}

std::string RandomContent(std::mt19937& random, std::size_t bytes) {
  std::string content(bytes, '\0');
  for (char& c : content) c = static_cast<char>(random());
  return content;
}

// The disk fills up again and again, at whatever write comes last: log, table or manifest. RocksDB
// sleeps for a second after each failed flush, so three processes do this at once, each with other
// random numbers.
TEST(SpoolFailureChild, DISABLED_DiskFullAgainAndAgain) {
  const std::string root = ChildDirectory();
  ASSERT_FALSE(root.empty());
  MountSmallDisk(root, "size=300m");
  const std::string directory = root + "/spool";
  const std::string ballast = root + "/ballast";
  std::mt19937 random(static_cast<std::mt19937::result_type>(root.back()));
  base::Registry registry;
  auto spool = OpenSpool(directory, 0, &registry);
  const std::string content = RandomContent(random, 400 * 1024);
  std::vector<base::Id> stored;
  std::vector<base::Id> refused;
  for (int cycle = 0; cycle < 2; ++cycle) {
    Occupy(ballast, (170 << 20) + random() % (40 << 20));
    // Bursts, so that writes of many kinds are under way when there is no room left.
    for (bool full = false; !full;) {
      std::promise<void> answered;
      int left = 8;
      for (int i = 0; i < 8; ++i) {
        const base::Id id = base::NewId(TestTime() + absl::Seconds(cycle));
        spool->Store(content.substr(random() % 4096), MakeRows(id, 1), [&, id](absl::Status s) {
          full = full || !s.ok();
          (s.ok() ? stored : refused).push_back(id);
          if (--left == 0) answered.set_value();
        });
      }
      answered.get_future().wait();
      if (!stored.empty() && random() % 2 == 0) {
        spool->Remove(stored.back(), 1);
        stored.pop_back();
      }
    }
    for (; stored.size() > 20; stored.pop_back()) spool->Remove(stored.back(), 1);
    const Ticket ticket = spool->MarkAttempt(MakeRow(base::NewId(TestTime())), {});
    std::filesystem::remove(ballast);
    WaitUntilWritten(*spool, ticket);
    EXPECT_TRUE(spool->healthy());
    if (cycle == 1) {
      spool.reset();
      spool = OpenSpool(directory, 0, &registry);
      EXPECT_EQ(0U, registry.AddCounter("postern_spool_log_salvages_total", "").value());
    }
    std::vector<base::Id> expected = stored;
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(expected, Ids(*spool)) << "cycle " << cycle;
    for (const base::Id& id : stored) EXPECT_TRUE(spool->ReadContent(id).ok());
    for (const base::Id& id : refused)
      EXPECT_TRUE(absl::IsNotFound(spool->ReadContent(id).status()));
  }
}

TEST(SpoolFailureTest, SurvivesADiskThatFillsUpAgainAndAgain) {
  TempDir dir;
  std::vector<pid_t> children;
  for (const char* seed : {"7", "8", "9"}) {
    const std::string root = dir.path() + "/" + seed;
    ASSERT_TRUE(std::filesystem::create_directory(root));
    children.push_back(StartChild("SpoolFailureChild.DISABLED_DiskFullAgainAndAgain", root));
  }
  bool skipped = false;
  for (const pid_t child : children) {
    const int status = WaitForChild(child);
    skipped = skipped || (WIFEXITED(status) && WEXITSTATUS(status) == kSkipExit);
    EXPECT_TRUE(skipped || status == 0) << status;
  }
  if (skipped) GTEST_SKIP() << "mounting is not allowed here";
}

TEST(SpoolFailureChild, DISABLED_ClosesWhileFull) {
  const std::string root = ChildDirectory();
  ASSERT_FALSE(root.empty());
  MountSmallDisk(root, "size=16m");
  const std::string directory = root + "/spool";
  auto spool = OpenSpool(directory);
  const Filled filled = FillUp(*spool, 64 * 1024);
  ASSERT_FALSE(filled.refused.empty());
  spool->Update(MakeRow(*filled.acknowledged.begin()), {});
  spool.reset();  // returns
}

TEST(SpoolFailureTest, ClosesWhileTheDiskIsFull) {
  const int exit = RunScenario("ClosesWhileFull");
  if (exit == kSkipExit) GTEST_SKIP() << "mounting is not allowed here";
  EXPECT_EQ(0, exit);
}

TEST(SpoolFailureTest, RefusesStoresBelowTheReserveAndTakesEverythingElse) {
  TempDir dir;
  const base::Id id = base::NewId(TestTime());
  { ASSERT_TRUE(StoreNow(*OpenSpool(dir.path()), "content", MakeRows(id, 1)).ok()); }
  const auto spool = OpenSpool(dir.path(), std::uint64_t{1} << 60);
  const absl::Status status = StoreNow(*spool, "content", MakeRows(base::NewId(TestTime()), 1));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(std::string::npos, status.ToString().find("disk: spool")) << status;
  EXPECT_TRUE(spool->healthy());
  spool->Remove(id, 1);
  WaitUntilWritten(*spool, spool->MarkAttempt(MakeRow(id), {}));
  EXPECT_TRUE(AllRows(*spool).empty());
}

}  // namespace
}  // namespace postern::spool

#include "server/spool/rocks_spool.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <random>
#include <thread>

#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

class RocksSpoolTest : public ::testing::Test {
 protected:
  RocksSpoolTest() : spool_(OpenSpool(dir_.path())) {}

  void Reopen() {
    spool_.reset();
    spool_ = OpenSpool(dir_.path());
  }
  // A ticket that is written only after all before it.
  void Settle() { WaitUntilWritten(*spool_, spool_->MarkAttempt(MakeRow(fence_), {})); }

  const base::Id fence_ = base::NewId(TestTime() - absl::Hours(1));
  TempDir dir_;
  std::unique_ptr<RocksSpool> spool_;
};

TEST_F(RocksSpoolTest, ReadsWhatWasStored) {
  const base::Id id = base::NewId(TestTime());
  ASSERT_TRUE(StoreNow(*spool_, "content", MakeRows(id, 3)).ok());
  EXPECT_EQ("content", *spool_->ReadContent(id));
  const auto rows = spool_->ReadRows(id);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(3U, rows->size());
  for (std::uint16_t i = 0; i < 3; ++i) {
    EXPECT_EQ(i, (*rows)[i].index);
    EXPECT_EQ(absl::StrCat("domain", i, ".example"), (*rows)[i].pair->domain);
  }
}

TEST_F(RocksSpoolTest, SaysNotFoundForAnUnknownMessage) {
  const base::Id id = base::NewId(TestTime());
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadContent(id).status()));
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadRows(id).status()));
}

TEST_F(RocksSpoolTest, ReadsTheLastUpdate) {
  const base::Id id = base::NewId(TestTime());
  ASSERT_TRUE(StoreNow(*spool_, "content", MakeRows(id, 2)).ok());
  mail::Row row = MakeRow(id, 1, 2);
  for (row.attempts = 1; row.attempts <= 5; ++row.attempts) spool_->Update(row, {});
  Settle();
  const auto rows = spool_->ReadRows(id);
  EXPECT_EQ(0U, (*rows)[0].attempts);
  EXPECT_EQ(5U, (*rows)[1].attempts);
}

TEST_F(RocksSpoolTest, RemovesContentAndAllRows) {
  const base::Id id = base::NewId(TestTime());
  const base::Id other = base::NewId(TestTime());
  ASSERT_TRUE(StoreNow(*spool_, "content", MakeRows(id, 3)).ok());
  ASSERT_TRUE(StoreNow(*spool_, "other", MakeRows(other, 1)).ok());
  spool_->Remove(id, 3);
  Settle();
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadContent(id).status()));
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadRows(id).status()));
  EXPECT_EQ("other", *spool_->ReadContent(other));
  Reopen();
  EXPECT_EQ(1U, AllRows(*spool_).size());
}

TEST_F(RocksSpoolTest, VisitsRowsInOrderAboveTheGivenId) {
  std::vector<base::Id> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(base::NewId(TestTime() + absl::Seconds(i)));
  for (const int i : {3, 0, 4, 1, 2}) {
    ASSERT_TRUE(StoreNow(*spool_, "c", MakeRows(ids[static_cast<std::size_t>(i)], 2)).ok());
  }
  std::vector<base::Id> seen;
  ASSERT_TRUE(spool_
                  ->ForEachRow(ids[1],
                               [&](mail::Row row) {
                                 EXPECT_EQ(seen.size() % 2, row.index);
                                 seen.push_back(row.message_id);
                                 return seen.size() < 5;
                               })
                  .ok());
  EXPECT_EQ((std::vector<base::Id>{ids[2], ids[2], ids[3], ids[3], ids[4]}), seen);
  base::Id last;
  last.bytes.fill(0xff);
  ASSERT_TRUE(spool_->ForEachRow(last, [](mail::Row) { return ADD_FAILURE(), true; }).ok());
}

// The writer is held up in a callback while 1000 stores come in.
TEST_F(RocksSpoolTest, WritesAllThatWaitsWithOneSync) {
  std::promise<void> writer_is_here;
  std::promise<void> go_on;
  spool_->Store("first", MakeRows(base::NewId(TestTime()), 1), [&](absl::Status) {
    writer_is_here.set_value();
    go_on.get_future().wait();
  });
  writer_is_here.get_future().wait();
  const RocksSpool::WriteCounts before = spool_->counts();
  std::promise<void> all;
  int answered = 0;
  for (int i = 0; i < 1000; ++i) {
    spool_->Store("content", MakeRows(base::NewId(TestTime()), 1), [&](absl::Status status) {
      EXPECT_TRUE(status.ok());
      if (++answered == 1000) all.set_value();
    });
  }
  go_on.set_value();
  all.get_future().wait();
  EXPECT_EQ(before.syncs + 1, spool_->counts().syncs);
  EXPECT_EQ(before.batches + 1, spool_->counts().batches);
}

TEST_F(RocksSpoolTest, DoesNotSyncForAMarkAlone) {
  const base::Id id = base::NewId(TestTime());
  ASSERT_TRUE(StoreNow(*spool_, "content", MakeRows(id, 1)).ok());
  const RocksSpool::WriteCounts before = spool_->counts();
  WaitUntilWritten(*spool_, spool_->MarkAttempt(MakeRow(id), {}));
  EXPECT_EQ(before.syncs, spool_->counts().syncs);
  EXPECT_EQ(before.batches + 1, spool_->counts().batches);
}

TEST_F(RocksSpoolTest, AnswersInTheOrderOfTheCalls) {
  std::vector<int> order;
  std::promise<void> all;
  for (int i = 0; i < 3000; ++i) {
    spool_->Store("content", MakeRows(base::NewId(TestTime()), 1), [&, i](absl::Status) {
      order.push_back(i);
      if (order.size() == 3000) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(RocksSpoolTest, SaysWhenAMarkIsWrittenAndNotBefore) {
  std::promise<void> writer_is_here;
  std::promise<void> go_on;
  spool_->Store("first", MakeRows(base::NewId(TestTime()), 1), [&](absl::Status) {
    writer_is_here.set_value();
    go_on.get_future().wait();
  });
  writer_is_here.get_future().wait();
  const Ticket ticket = spool_->MarkAttempt(MakeRow(base::NewId(TestTime())), {});
  EXPECT_FALSE(spool_->IsWritten(ticket));
  EXPECT_TRUE(spool_->IsWritten(ticket - 1));
  go_on.set_value();
  WaitUntilWritten(*spool_, ticket);
  EXPECT_TRUE(spool_->IsWritten(ticket));
  bool at_once = false;
  spool_->WhenWritten(ticket, [&] { at_once = true; });
  EXPECT_TRUE(at_once);
}

TEST_F(RocksSpoolTest, TakesCallsFromManyThreads) {
  std::atomic<int> stored{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const base::Id id = base::NewId(TestTime());
        if (StoreNow(*spool_, "content", MakeRows(id, 1)).ok()) ++stored;
        const Ticket ticket = spool_->MarkAttempt(MakeRow(id), {});
        WaitUntilWritten(*spool_, ticket);
        spool_->Update(MakeRow(id), {});
        if (i % 2 == 0) spool_->Remove(id, 1);
        EXPECT_TRUE(spool_->ForEachRow(id, [](mail::Row) { return false; }).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(200, stored.load());
  Reopen();
  EXPECT_EQ(100U, AllRows(*spool_).size());
}

TEST_F(RocksSpoolTest, WritesWhatWaitsBeforeItCloses) {
  const base::Id id = base::NewId(TestTime());
  mail::Row row = MakeRow(id);
  spool_->Store("content", {row}, [](absl::Status) {});
  row.attempts = 9;
  spool_->Update(row, {});
  Reopen();
  ASSERT_EQ(1U, AllRows(*spool_).size());
  EXPECT_EQ(9U, AllRows(*spool_)[0].attempts);
}

TEST_F(RocksSpoolTest, HoldsALargeMessageWithManyRecipients) {
  const base::Id id = base::NewId(TestTime());
  mail::Row row = MakeRow(id);
  const auto reply = std::make_shared<mail::Reply>(
      mail::Reply{450, "4.2.1", std::string(60000, 'x'), mail::SmtpStage::kRcpt});
  for (int i = 0; i < 10000; ++i) {
    row.recipients.push_back(
        {absl::StrCat("user", i, "@domain0.example"), mail::Disposition::kDeferred, reply});
  }
  const std::string content(20 << 20, 'y');
  ASSERT_TRUE(StoreNow(*spool_, content, {row}).ok());
  EXPECT_EQ(content, *spool_->ReadContent(id));
  EXPECT_EQ(10001U, spool_->ReadRows(id)->front().recipients.size());
}

TEST_F(RocksSpoolTest, AgreesWithAModelAfterAThousandRandomOperations) {
  std::mt19937 random(20240229);
  std::map<base::Id, std::vector<mail::Row>> model;
  const auto pick = [&] {
    return std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
  };
  const auto check = [&] {
    Settle();
    std::size_t rows = 0;
    for (const auto& [id, expected] : model) {
      EXPECT_EQ(id.ToString(), *spool_->ReadContent(id));
      const auto read = spool_->ReadRows(id);
      ASSERT_TRUE(read.ok()) << read.status();
      ASSERT_EQ(expected.size(), read->size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(expected[i].attempts, (*read)[i].attempts);
      }
      rows += expected.size();
    }
    EXPECT_EQ(rows, AllRows(*spool_).size());
  };
  for (int i = 0; i < 1000; ++i) {
    const auto what = random() % 10;
    if (model.empty() || what < 4) {
      const base::Id id = base::NewId(TestTime() + absl::Milliseconds(random() % 100000));
      auto rows = MakeRows(id, static_cast<std::uint16_t>(1 + random() % 4));
      spool_->Store(id.ToString(), rows, [](absl::Status s) { EXPECT_TRUE(s.ok()); });
      model[id] = std::move(rows);
    } else if (what < 7) {
      std::vector<mail::Row>& rows = pick()->second;
      mail::Row& row = rows[random() % rows.size()];
      ++row.attempts;
      spool_->MarkAttempt(row, {});
      if (what < 6)
        spool_->Update(row, {});
      else
        --row.attempts;
    } else if (what < 9) {
      const auto at = pick();
      spool_->Remove(at->first, static_cast<int>(at->second.size()));
      model.erase(at);
    } else if (random() % 10 == 0) {
      check();
      Reopen();
    }
  }
  check();
  Reopen();
  check();
}

TEST_F(RocksSpoolTest, KeepsItsDirectoryToItself) {
  TempDir parent;
  const std::string path = parent.path() + "/a/b/spool";
  const auto spool = OpenSpool(path);
  struct stat info {};
  ASSERT_EQ(0, stat(path.c_str(), &info));
  EXPECT_EQ(0700U, info.st_mode & 0777U);
}

TEST_F(RocksSpoolTest, SaysWhichDirectoryAnotherHasOpen) {
  const auto second = RocksSpool::Open({dir_.path(), 0, nullptr, absl::Seconds(1)});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_NE(std::string::npos, second.status().ToString().find(dir_.path()));
}

TEST_F(RocksSpoolTest, SaysWhichPathIsNoDirectory) {
  const std::string file = dir_.path() + "/CURRENT";
  const auto spool = RocksSpool::Open({file, 0, nullptr, absl::Seconds(1)});
  EXPECT_TRUE(absl::IsFailedPrecondition(spool.status())) << spool.status();
  const auto below = RocksSpool::Open({file + "/spool", 0, nullptr, absl::Seconds(1)});
  EXPECT_FALSE(below.ok());
  EXPECT_NE(std::string::npos, below.status().ToString().find(file)) << below.status();
}

TEST_F(RocksSpoolTest, ShowsWhatItDoesAsMetrics) {
  TempDir dir;
  base::Registry registry;
  const auto spool = OpenSpool(dir.path(), 0, &registry);
  ASSERT_TRUE(StoreNow(*spool, "content", MakeRows(base::NewId(TestTime()), 1)).ok());
  const std::string shown = registry.Render();
  for (const char* line :
       {"postern_spool_healthy 1", "postern_spool_syncs_total 1",
        "postern_spool_records_total{kind=\"store\"} 1", "postern_spool_batch_size_count 1",
        "postern_spool_commit_seconds_count 1", "postern_spool_write_errors_total 0",
        "postern_spool_records_set_aside_total 0"}) {
    EXPECT_NE(std::string::npos, shown.find(line)) << line << "\n" << shown;
  }
}

}  // namespace
}  // namespace postern::spool

// What a spool finds when it is opened again: after a close, a crash, damage, another version.
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <csignal>
#include <fstream>

#include "server/spool/database.h"
#include "server/spool/record_codec.h"
#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

rocksdb::Slice ToSlice(absl::string_view bytes) { return {bytes.data(), bytes.size()}; }

class SpoolRecoveryTest : public ::testing::Test {
 protected:
  std::unique_ptr<RocksSpool> Open() { return OpenSpool(dir_.path(), 0, &registry_); }
  // Writes a record past the spool.
  void PutState(absl::string_view key, const std::string& value) {
    SpoolMetrics metrics(registry_);
    const auto database = *Database::Open(dir_.path(), std::make_shared<Expiry>(), metrics);
    ASSERT_TRUE(database->db().Put({}, database->state(), ToSlice(key), value).ok());
  }
  std::uint64_t Counter(const char* name) { return registry_.AddCounter(name, "").value(); }

  TempDir dir_;
  base::Registry registry_;
};

TEST_F(SpoolRecoveryTest, KeepsAttemptsRepliesAndTimes) {
  const base::Id id = base::NewId(TestTime());
  mail::Row row = MakeRow(id);
  {
    const auto spool = Open();
    ASSERT_TRUE(StoreNow(*spool, "content", {row}).ok());
    row.attempts = 3;
    row.reason = mail::RequeueReason::kTransientFailure;
    row.next_attempt = TestTime() + absl::Minutes(40);
    row.recipients[0].disposition = mail::Disposition::kDeferred;
    row.recipients[0].last_reply = std::make_shared<mail::Reply>(
        mail::Reply{451, "4.7.1", "greylisted", mail::SmtpStage::kRcpt});
    spool->Update(row, {});
  }
  const auto spool = Open();
  const std::vector<mail::Row> rows = AllRows(*spool);
  ASSERT_EQ(1U, rows.size());
  EXPECT_EQ(3U, rows[0].attempts);
  EXPECT_EQ(mail::RequeueReason::kTransientFailure, rows[0].reason);
  EXPECT_EQ(TestTime() + absl::Minutes(40), rows[0].next_attempt);
  EXPECT_EQ(*row.recipients[0].last_reply, *rows[0].recipients[0].last_reply);
  EXPECT_FALSE(rows[0].in_doubt);
  EXPECT_EQ("content", *spool->ReadContent(id));
}

TEST_F(SpoolRecoveryTest, PutsARowInDoubtOnlyIfAnotherProcessLeftItsMark) {
  const base::Id id = base::NewId(TestTime());
  {
    const auto spool = Open();
    ASSERT_TRUE(StoreNow(*spool, "content", MakeRows(id, 3)).ok());
    spool->MarkAttempt(MakeRow(id, 0, 3), {});
    WaitUntilWritten(*spool, spool->MarkAttempt(MakeRow(id, 2, 3), {}));
    EXPECT_FALSE(AllRows(*spool)[2].in_doubt);  // its transaction is open
    spool->Update(MakeRow(id, 0, 3), {});
  }
  {
    const auto spool = Open();
    const std::vector<mail::Row> rows = AllRows(*spool);
    ASSERT_EQ(3U, rows.size());
    EXPECT_FALSE(rows[0].in_doubt);
    EXPECT_FALSE(rows[1].in_doubt);
    EXPECT_TRUE(rows[2].in_doubt);
    EXPECT_TRUE((*spool->ReadRows(id))[2].in_doubt);
    spool->Update(MakeRow(id, 2, 3), {});  // resolved
  }
  EXPECT_FALSE(AllRows(*Open())[2].in_doubt);
}

TEST_F(SpoolRecoveryTest, RemovesTheMarkOfADeadProcessWithItsMessage) {
  const base::Id id = base::NewId(TestTime());
  {
    const auto spool = Open();
    ASSERT_TRUE(StoreNow(*spool, "content", MakeRows(id, 1)).ok());
    spool->MarkAttempt(MakeRow(id), {});
  }
  {
    const auto spool = Open();
    EXPECT_TRUE(AllRows(*spool)[0].in_doubt);
    spool->Remove(id, 1);
  }
  SpoolMetrics metrics(registry_);
  const auto database = *Database::Open(dir_.path(), std::make_shared<Expiry>(), metrics);
  const std::unique_ptr<rocksdb::Iterator> at(
      database->db().NewIterator(rocksdb::ReadOptions(), database->state()));
  at->SeekToFirst();
  EXPECT_FALSE(at->Valid());
}

TEST_F(SpoolRecoveryTest, SetsAsideARecordOfANewerVersionAndKeepsIt) {
  const base::Id id = base::NewId(TestTime());
  {
    const auto spool = Open();
    ASSERT_TRUE(StoreNow(*spool, "content", MakeRows(id, 2)).ok());
  }
  std::string newer = EncodeRow(MakeRow(id, 1, 2));
  newer[0] = 9;
  PutState(RowKey(id, 1).row(), newer);
  {
    const auto spool = Open();
    EXPECT_EQ(1U, AllRows(*spool).size());
    EXPECT_EQ(1U, AllRows(*spool).size());
    EXPECT_EQ(1U, Counter("postern_spool_records_set_aside_total"));
    spool->Remove(id, 2);  // all rows that could be read are final
  }
  PutState(RowKey(id, 1).row(), EncodeRow(MakeRow(id, 1, 2)));  // as a later version reads it
  const auto spool = Open();
  EXPECT_EQ(1U, AllRows(*spool).size());
  EXPECT_EQ("content", *spool->ReadContent(id));
}

TEST_F(SpoolRecoveryTest, SkipsRecordsThatAreNoRows) {
  const base::Id id = base::NewId(TestTime());
  { ASSERT_TRUE(StoreNow(*Open(), "content", MakeRows(id, 1)).ok()); }
  PutState("short", "x");
  PutState(RowKey(base::NewId(TestTime()), 0).row(), "");
  PutState(RowKey(base::NewId(TestTime()), 0).mark(), "a mark without its row");
  const auto spool = Open();
  EXPECT_EQ(1U, AllRows(*spool).size());
  EXPECT_EQ(2U, Counter("postern_spool_records_set_aside_total"));
}

TEST_F(SpoolRecoveryTest, TakesAnUnreadableMarkForOneLeftBehind) {
  const base::Id id = base::NewId(TestTime());
  { ASSERT_TRUE(StoreNow(*Open(), "content", MakeRows(id, 1)).ok()); }
  PutState(RowKey(id, 0).mark(), "?");
  EXPECT_TRUE(AllRows(*Open())[0].in_doubt);
}

// --- A process that is killed ---

std::string AckedPath(const std::string& directory) { return directory + ".acked"; }

TEST(SpoolCrashChild, DISABLED_StoresAndIsKilled) {
  const std::string directory = ChildDirectory();
  ASSERT_FALSE(directory.empty());
  const auto spool = OpenSpool(directory);
  std::ofstream acked(AckedPath(directory));
  Ticket ticket = 0;
  for (int i = 0; i < 200; ++i) {
    mail::Row row = MakeRow(base::NewId(TestTime() + absl::Seconds(i)));
    ASSERT_TRUE(StoreNow(*spool, row.message_id.ToString(), {row}).ok());
    acked << row.message_id.ToString() << std::endl;
    row.attempts = 1;
    if (i % 2 == 0) spool->Update(row, {});
    ticket = spool->MarkAttempt(row, {});
  }
  WaitUntilWritten(*spool, ticket);
  raise(SIGKILL);
}

TEST_F(SpoolRecoveryTest, HasEveryAcknowledgedMessageAfterAKill) {
  const int status = RunChild("SpoolCrashChild.DISABLED_StoresAndIsKilled", dir_.path());
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  const auto spool = Open();
  std::ifstream acked(AckedPath(dir_.path()));
  std::string text;
  std::size_t count = 0;
  for (; acked >> text; ++count) {
    const base::Id id = *base::ParseId(text);
    EXPECT_EQ(text, *spool->ReadContent(id));
    const auto rows = spool->ReadRows(id);
    ASSERT_TRUE(rows.ok());
    EXPECT_EQ(count % 2 == 0 ? 1U : 0U, rows->front().attempts);
    EXPECT_TRUE(rows->front().in_doubt);  // marks need no sync to survive the process
  }
  EXPECT_EQ(200U, count);
  EXPECT_EQ(200U, AllRows(*spool).size());
  EXPECT_EQ(0U, Counter("postern_spool_log_salvages_total"));
  std::filesystem::remove(AckedPath(dir_.path()));
}

// --- A damaged log ---

std::filesystem::path LogFile(const std::string& directory) {
  std::filesystem::path largest;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".log" &&
        (largest.empty() || entry.file_size() > std::filesystem::file_size(largest))) {
      largest = entry.path();
    }
  }
  return largest;
}

TEST_F(SpoolRecoveryTest, ReadsWhatItCanOfADamagedLogAndSaysSo) {
  std::vector<base::Id> ids;
  {
    const auto spool = Open();
    for (int i = 0; i < 100; ++i) {
      ids.push_back(base::NewId(TestTime() + absl::Seconds(i)));
      ASSERT_TRUE(StoreNow(*spool, std::string(4096, 'x'), MakeRows(ids.back(), 1)).ok());
    }
  }
  const std::filesystem::path log = LogFile(dir_.path());
  const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(log) / 2);
  {
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(middle);
    file << "damage damage damage";
  }
  {
    const auto spool = Open();
    const std::vector<mail::Row> rows = AllRows(*spool);
    // A damaged 32 KiB block of the log costs the records in it, not those behind.
    EXPECT_LT(rows.size(), 100U);
    EXPECT_GT(rows.size(), 80U);
    EXPECT_EQ(ids.back(), rows.back().message_id);
    EXPECT_EQ(1U, Counter("postern_spool_log_salvages_total"));
    EXPECT_GE(Counter("postern_spool_records_set_aside_total"), 1U);
    EXPECT_TRUE(StoreNow(*spool, "goes on", MakeRows(base::NewId(TestTime()), 1)).ok());
  }
  bool copied = false;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(dir_.path() + "/set-aside")) {
    copied = copied || entry.path().filename() == log.filename();
  }
  EXPECT_TRUE(copied);
  Open();
  EXPECT_EQ(1U, Counter("postern_spool_log_salvages_total"));  // once is enough
}

TEST_F(SpoolRecoveryTest, TakesATornTailForWhatACrashLeaves) {
  const base::Id first = base::NewId(TestTime());
  {
    const auto spool = Open();
    ASSERT_TRUE(StoreNow(*spool, "content", MakeRows(first, 1)).ok());
    ASSERT_TRUE(StoreNow(*spool, "content", MakeRows(base::NewId(TestTime()), 1)).ok());
  }
  const std::filesystem::path log = LogFile(dir_.path());
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 20);
  const auto spool = Open();
  const std::vector<mail::Row> rows = AllRows(*spool);
  ASSERT_EQ(1U, rows.size());
  EXPECT_EQ(first, rows[0].message_id);
  EXPECT_EQ(0U, Counter("postern_spool_log_salvages_total"));
}

}  // namespace
}  // namespace postern::spool

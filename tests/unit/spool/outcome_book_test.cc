// The books of outcomes: runs, and what they make of a disk that has lost something.
#include "tests/unit/spool/outcomes_testing.h"

namespace postern::spool {
namespace {

class OutcomeBookTest : public OutcomesFixture {};

TEST_F(OutcomeBookTest, NumbersNeverGoBackBehindACursor) {
  Open();
  for (int i = 0; i < 5; ++i) Deliver();
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 5).ok());
  Sync();
  {
    // As a file that was given back too early would leave it.
    const auto database = Raw();
    for (std::uint64_t i = 3; i <= 5; ++i) {
      ASSERT_TRUE(database->db().Delete({}, database->outcomes(), OutcomeKey(i)).ok());
    }
  }
  Open();
  EXPECT_EQ(5U, spool_->OutcomeRange().head);
  Deliver();
  Sync();
  ASSERT_EQ(1U, Read(5).size());
  EXPECT_EQ(6U, Read(5)[0].sequence);
}

TEST_F(OutcomeBookTest, WithoutRecordsTheNumbersGoOnBehindTheCursor) {
  Open();
  for (int i = 0; i < 3; ++i) Deliver();
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 3).ok());
  Sync();
  {
    const auto database = Raw();
    ASSERT_TRUE(
        database->db().DeleteRange({}, database->outcomes(), OutcomeKey(0), OutcomeKey(9)).ok());
    ASSERT_TRUE(
        database->db().DeleteRange({}, database->books(), CheckpointKey(0), CheckpointKey(9)).ok());
  }
  Open();
  EXPECT_EQ(4U, spool_->OutcomeRange().oldest);  // a new consumer has lost nothing
  EXPECT_EQ(3U, spool_->OutcomeRange().head);
  Deliver();
  Sync();
  EXPECT_EQ(4U, Read()[0].sequence);
  Open();
  EXPECT_EQ(4U, spool_->OutcomeRange().oldest);
}

TEST_F(OutcomeBookTest, BeyondTheirTimeOutcomesGoWhoeverWantsThem) {
  Retention retention;
  retention.finished_for = absl::ZeroDuration();
  retention.bytes = 64 << 10;  // runs of 1 KiB, far from the size
  Open(retention);
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 0).ok());
  for (int i = 0; i < 50; ++i) Deliver();
  Sync();
  EXPECT_EQ(1U, spool_->OutcomeRange().oldest) << "they are wanted, and of today";
  retention.outcomes_for = absl::ZeroDuration();
  Open(retention);
  Deliver();
  Deliver();
  Sync();
  EXPECT_GT(spool_->OutcomeRange().oldest, 20U);
  EXPECT_EQ(0U, spool_->ConsumerCursor("books"));  // so that it learns of the gap
}

TEST_F(OutcomeBookTest, WithoutHistoryMessagesMakeNoRuns) {
  Retention retention;
  retention.finished_messages = 0;
  Open(retention);
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 0).ok());
  for (int i = 0; i < 100; ++i) Deliver();
  Sync();
  EXPECT_EQ(1, CountRuns());
}

TEST_F(OutcomeBookTest, RunsThatAreHistoryNoMoreAreJoined) {
  Retention retention;
  retention.finished_messages = 10;  // a run for each two
  Open(retention);
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 0).ok());
  std::vector<base::Id> ids;
  for (int i = 0; i < 200; ++i) ids.push_back(Deliver());
  Sync();
  EXPECT_EQ(200U, Read().size());
  EXPECT_LE(CountRuns(), 10);
  Open(retention);
  EXPECT_EQ(200U, Read().size());
  EXPECT_TRUE(spool_->ReadFinished(ids[195]).ok());
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadFinished(ids[180]).status()));
  // And they go, when they are acknowledged.
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 200).ok());
  for (int i = 0; i < 3; ++i) Deliver();
  Sync();
  EXPECT_GT(spool_->OutcomeRange().oldest, 180U);
}

TEST_F(OutcomeBookTest, DamageIsLeftOutAndCounted) {
  Retention retention;
  retention.finished_messages = 0;
  Open(retention);
  const base::Id id = Store();
  mail::Row row = Settled(id, mail::Disposition::kDeferred);
  const auto reply = std::make_shared<mail::Reply>();
  row.recipients[0].last_reply = reply;
  std::uint64_t noise = 1;
  for (int i = 0; i < 2000; ++i) {
    reply->text.clear();  // what cannot be compressed
    for (int k = 0; k < 100; ++k) {
      noise = noise * 6364136223846793005U + 1442695040888963407U;
      reply->text.push_back(static_cast<char>(' ' + (noise >> 33) % 90));
    }
    spool_->Update(row, {});
  }
  Sync();
  {
    const auto database = Raw();
    Damage(*database, database->outcomes());
  }
  Open(retention, &spool_registry_);
  const auto& counter = spool_registry_.AddCounter("postern_spool_records_set_aside_total", "");
  EXPECT_EQ(1U, counter.value());  // by the start, which counts what there is
  EXPECT_EQ(2000U, spool_->OutcomeRange().head);
  std::uint64_t last = 0;
  std::uint64_t holes = 0;
  for (;;) {
    const auto records = Read(last, 100);
    if (records.empty()) break;
    for (const OutcomeRecord& record : records) {
      holes += record.sequence > last + 1 ? 1 : 0;
      last = record.sequence;
    }
  }
  EXPECT_EQ(2000U, last);
  EXPECT_EQ(1U, holes);
  EXPECT_EQ(2U, counter.value());
}

TEST_F(OutcomeBookTest, NumbersGoOnBehindDamageAtTheEnd) {
  Open();
  for (int i = 0; i < 5; ++i) Deliver();
  Sync();
  {
    const auto database = Raw();
    Damage(*database, database->outcomes());  // of one block
  }
  Open();
  EXPECT_GE(spool_->OutcomeRange().head, 5U);
  EXPECT_TRUE(Read().empty());
  Deliver();
  Sync();
  ASSERT_EQ(1U, Read().size());
  EXPECT_GT(Read()[0].sequence, 5U);
}

TEST_F(OutcomeBookTest, DamagedBooksDoNotKeepTheSpoolFromOpening) {
  Open();
  for (int i = 0; i < 5; ++i) Deliver();
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 3).ok());
  Sync();
  const std::uint64_t log = spool_->OutcomeRange().log;
  {
    const auto database = Raw();
    Damage(*database, database->books());
  }
  Open();
  EXPECT_NE(log, spool_->OutcomeRange().log);  // so that old cursors begin anew
  EXPECT_EQ(5U, spool_->OutcomeRange().head);
  EXPECT_EQ(5U, Read().size());
}

}  // namespace
}  // namespace postern::spool

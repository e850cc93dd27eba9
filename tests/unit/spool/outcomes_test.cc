// Outcomes and finished messages of the spool on disk: what is recorded is told, in order, and kept
// for as long as it must be.
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <condition_variable>
#include <mutex>

#include "server/spool/record_codec.h"
#include "tests/unit/spool/outcomes_testing.h"

namespace postern::spool {
namespace {

class Bell final : public OutcomeListener {
 public:
  void OnOutcomes() override {
    const std::lock_guard<std::mutex> lock(mu_);
    ++rung_;
    changed_.notify_all();
  }
  void WaitFor(int times) {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [&] { return rung_ >= times; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  int rung_ = 0;
};

class OutcomesTest : public OutcomesFixture {};

TEST_F(OutcomesTest, EveryDispositionIsToldInTheOrderOfRecording) {
  Open();
  const base::Id a = Store();
  const base::Id b = Store();
  spool_->Update(Settled(b, mail::Disposition::kDeferred), {});
  spool_->Finish(Settled(a, mail::Disposition::kFailed), {});
  spool_->Finish(Settled(b, mail::Disposition::kDelivered), {});
  Sync();
  const auto records = Read();
  ASSERT_EQ(3U, records.size());
  EXPECT_EQ(b, records[0].row.message_id);
  EXPECT_EQ(mail::Disposition::kDeferred, records[0].row.recipients[0].disposition);
  EXPECT_EQ(a, records[1].row.message_id);
  EXPECT_EQ(3U, records[2].sequence);
  EXPECT_EQ(mail::Disposition::kDelivered, records[2].row.recipients[0].disposition);
  EXPECT_EQ(3U, spool_->OutcomeRange().head);
}

TEST_F(OutcomesTest, AnUpdateWithoutNewsIsNoOutcome) {
  Open();
  const base::Id id = Store();
  spool_->Update(MakeRow(id), {});
  Sync();
  EXPECT_TRUE(Read().empty());
}

TEST_F(OutcomesTest, ManyRecipientsAreOneRecordThatCanBeEnteredInTheMiddle) {
  Open();
  const base::Id id = Store();
  mail::Row row = Settled(id, mail::Disposition::kDelivered);
  row.recipients.assign(5, row.recipients[0]);
  spool_->Finish(row, {});
  Deliver();
  Sync();
  EXPECT_EQ(6U, spool_->OutcomeRange().head);
  const auto behind_third = Read(3);
  ASSERT_EQ(2U, behind_third.size());
  EXPECT_EQ(1U, behind_third[0].sequence);
  EXPECT_EQ(5U, behind_third[0].news.size());
  EXPECT_EQ(6U, behind_third[1].sequence);
  ASSERT_EQ(1U, Read(5).size());
  EXPECT_TRUE(Read(6).empty());
  EXPECT_EQ(1U, Read(0, 1).size());
}

TEST_F(OutcomesTest, NumbersAndCursorsGoOnAfterARestart) {
  Open();
  Deliver();
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 1).ok());
  Sync();
  const std::uint64_t log = spool_->OutcomeRange().log;
  Open();
  EXPECT_EQ(log, spool_->OutcomeRange().log);
  EXPECT_EQ(1U, spool_->OutcomeRange().head);
  EXPECT_EQ(1U, spool_->ConsumerCursor("books"));
  EXPECT_FALSE(spool_->ConsumerCursor("others").has_value());
  Deliver();
  Sync();
  ASSERT_EQ(1U, Read(1).size());
  EXPECT_EQ(2U, Read(1)[0].sequence);
}

TEST_F(OutcomesTest, ACursorNeverGoesBack) {
  Open();
  for (int i = 0; i < 3; ++i) Deliver();
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 3).ok());
  ASSERT_TRUE(spool_->SetConsumerCursor("books", 1).ok());
  Sync();
  EXPECT_EQ(3U, spool_->ConsumerCursor("books"));
}

TEST_F(OutcomesTest, CursorsThatComeWhileTheWriterIsBusyAreOneWrite) {
  Open();
  Deliver();
  Sync();
  std::promise<void> busy;
  std::promise<void> go_on;
  spool_->Store("content", MakeRows(base::NewId(now_), 1), [&](const absl::Status&) {
    busy.set_value();
    go_on.get_future().wait();
  });
  busy.get_future().wait();
  const Ticket before = spool_->Latest();
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(spool_->SetConsumerCursor("books", i % 50).ok());
    ASSERT_TRUE(spool_->SetConsumerCursor("others", 7).ok());
  }
  EXPECT_EQ(before + 2, spool_->Latest());
  go_on.set_value();
  Sync();
  EXPECT_EQ(49U, spool_->ConsumerCursor("books"));
  EXPECT_EQ(7U, spool_->ConsumerCursor("others"));
}

TEST_F(OutcomesTest, ListenersAreToldOfEveryWrite) {
  Open();
  const auto bell = std::make_shared<Bell>();
  spool_->AddOutcomeListener(bell);
  Deliver();
  bell->WaitFor(1);
  EXPECT_EQ(1U, spool_->OutcomeRange().head);
  Deliver();
  bell->WaitFor(2);
}

TEST_F(OutcomesTest, NoMoreConsumersThanTheLimit) {
  Open();
  for (std::size_t i = 0; i < OutcomeSource::kMaxConsumers; ++i) {
    ASSERT_TRUE(spool_->SetConsumerCursor(absl::StrCat("c", i), 0).ok());
  }
  Sync();
  EXPECT_TRUE(absl::IsResourceExhausted(spool_->SetConsumerCursor("one more", 0)));
  EXPECT_TRUE(spool_->SetConsumerCursor("c7", 0).ok());
}

TEST_F(OutcomesTest, NamesThatAreOnTheirWayCountInTheLimit) {
  Open();
  int taken = 0;
  for (std::size_t i = 0; i < 2 * OutcomeSource::kMaxConsumers; ++i) {
    if (spool_->SetConsumerCursor(absl::StrCat("c", i), 0).ok()) ++taken;
  }
  EXPECT_EQ(OutcomeSource::kMaxConsumers, static_cast<std::size_t>(taken));
}

TEST_F(OutcomesTest, AnOwnerHasItsShareOfTheNames) {
  Open();
  const auto name = [](const char* owner, std::size_t i) {
    return absl::StrCat(owner, absl::string_view("\0", 1), "c", i);
  };
  for (std::size_t i = 0; i < OutcomeSource::kMaxConsumersOfOwner; ++i) {
    ASSERT_TRUE(spool_->SetConsumerCursor(name("red", i), 0).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(spool_->SetConsumerCursor(name("red", 99), 0)));
  EXPECT_TRUE(spool_->SetConsumerCursor(name("red", 7), 1).ok());
  EXPECT_TRUE(spool_->SetConsumerCursor(name("re", 0), 0).ok());
  EXPECT_TRUE(spool_->SetConsumerCursor("red", 0).ok()) << "a name without an owner";
  Sync();
  EXPECT_TRUE(absl::IsResourceExhausted(spool_->SetConsumerCursor(name("red", 99), 0)));
}

TEST_F(OutcomesTest, AFinishedMessageStaysReadableAfterARestart) {
  Open();
  const base::Id id = Deliver();
  const base::Id open = Store();
  Sync();
  Open();
  const auto rows = spool_->ReadFinished(id);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(1U, rows->size());
  EXPECT_EQ(mail::Disposition::kDelivered, (*rows)[0].recipients[0].disposition);
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadRows(id).status()));
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadFinished(open).status()));
}

TEST_F(OutcomesTest, AMessageOfSeveralRowsIsFinishedWithTheLast) {
  Open();
  const base::Id id = Store(2);
  spool_->Update(Settled(id, mail::Disposition::kDeferred, 1, 2), {});
  spool_->Update(Settled(id, mail::Disposition::kDelivered, 0, 2), {});
  Sync();
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadFinished(id).status()));
  spool_->Update(Settled(id, mail::Disposition::kFailed, 1, 2), {});
  spool_->Remove(id, 2);
  Sync();
  const auto rows = spool_->ReadFinished(id);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(2U, rows->size());
  EXPECT_EQ(mail::Disposition::kDelivered, (*rows)[0].recipients[0].disposition);
  EXPECT_EQ(mail::Disposition::kFailed, (*rows)[1].recipients[0].disposition);
  const auto history = spool_->ReadHistory(id);
  ASSERT_EQ(3U, history->size());
  EXPECT_EQ(0U, (*history)[0].row.index);
  EXPECT_EQ(mail::Disposition::kDeferred, (*history)[1].row.recipients[0].disposition);
}

TEST_F(OutcomesTest, ListsFinishedMessagesBehindACursor) {
  Open();
  std::vector<base::Id> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(Deliver());
  Store();
  Sync();
  std::vector<base::Id> found;
  const auto add = [&](std::vector<mail::Row> rows) {
    found.push_back(rows[0].message_id);
    return true;
  };
  EXPECT_EQ(base::Id{}, *spool_->ForEachFinished(ids[0], 100, add));
  EXPECT_EQ((std::vector<base::Id>{ids[1], ids[2]}), found);
  found.clear();
  EXPECT_EQ(ids[1], *spool_->ForEachFinished({}, 2, add));
  EXPECT_EQ((std::vector<base::Id>{ids[0], ids[1]}), found);
}

TEST_F(OutcomesTest, LookingAtWhatIsNoLongerKeptIsCutOffToo) {
  Retention retention;
  retention.finished_messages = 10;
  Open(retention);
  std::vector<base::Id> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(Deliver());
  Sync();
  std::size_t found = 0;
  const auto count = [&](const std::vector<mail::Row>&) { return ++found > 0; };
  EXPECT_EQ(ids[19], *spool_->ForEachFinished({}, 20, count));
  EXPECT_EQ(0U, found);
  EXPECT_EQ(base::Id{}, *spool_->ForEachFinished(ids[19], 100, count));
  EXPECT_GE(found, 9U);
}

TEST_F(OutcomesTest, RowsThatFinishedLongBeforeTheLastDoNotHideTheOthers) {
  Retention retention;
  retention.finished_messages = 10;
  Open(retention);
  const base::Id id = Store(2);
  spool_->Update(Settled(id, mail::Disposition::kDelivered, 0, 2), {});
  std::vector<base::Id> others;
  for (int i = 0; i < 40; ++i) others.push_back(Deliver());
  Sync();
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadFinished(id).status()));
  spool_->Update(Settled(id, mail::Disposition::kExpired, 1, 2), {});
  spool_->Remove(id, 2);
  Sync();
  const auto rows = spool_->ReadFinished(id);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(1U, rows->size());
  EXPECT_EQ(1U, (*rows)[0].index);
  EXPECT_EQ(2U, (*rows)[0].row_count);
  std::vector<base::Id> listed;
  EXPECT_TRUE(spool_
                  ->ForEachFinished({}, 1000,
                                    [&](const std::vector<mail::Row>& some) {
                                      listed.push_back(some[0].message_id);
                                      return true;
                                    })
                  .ok());
  EXPECT_EQ(id, listed.at(0));
}

TEST_F(OutcomesTest, TheHistoryOfARowIsItsLastFiftyChanges) {
  Open();
  const base::Id id = Store(2);
  for (int i = 0; i < 60; ++i) {
    mail::Row row = Settled(id, mail::Disposition::kDeferred, 0, 2);
    row.attempts = static_cast<std::uint32_t>(i);
    spool_->Update(row, {});
  }
  spool_->Update(Settled(id, mail::Disposition::kDeferred, 1, 2), {});
  Sync();
  const auto history = spool_->ReadHistory(id);
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_EQ(51U, history->size());
  EXPECT_EQ(10U, (*history)[0].row.attempts);
  EXPECT_EQ(59U, (*history)[49].row.attempts);
  EXPECT_EQ(1U, (*history)[50].row.index);
}

TEST_F(OutcomesTest, FinishedMessagesAreNotAnsweredBeyondTheirTime) {
  Retention retention;
  retention.finished_for = absl::ZeroDuration();
  Open(retention);
  const base::Id id = Deliver();
  Sync();
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadFinished(id).status()));
  EXPECT_EQ(1U, Read().size());  // its outcome is still to be told
}

TEST_F(OutcomesTest, WhatAllHaveAcknowledgedIsDropped) {
  Retention retention;
  retention.finished_for = absl::ZeroDuration();
  retention.bytes = 64 << 10;  // runs of 1 KiB
  Open(retention);
  ASSERT_TRUE(spool_->SetConsumerCursor("a", 0).ok());
  ASSERT_TRUE(spool_->SetConsumerCursor("b", 0).ok());
  for (int i = 0; i < 50; ++i) Deliver();
  ASSERT_TRUE(spool_->SetConsumerCursor("a", 50).ok());
  Deliver();
  Deliver();
  EXPECT_EQ(1U, spool_->OutcomeRange().oldest);  // b has not
  ASSERT_TRUE(spool_->SetConsumerCursor("b", 30).ok());
  Deliver();
  Deliver();
  Sync();
  const std::uint64_t oldest = spool_->OutcomeRange().oldest;
  EXPECT_GT(oldest, 20U);
  EXPECT_LE(oldest, 31U);  // nothing that b has not seen
  EXPECT_EQ(oldest, Read()[0].sequence);
  Open(retention);
  EXPECT_EQ(oldest, spool_->OutcomeRange().oldest);
  EXPECT_EQ(54U, spool_->OutcomeRange().head);
  EXPECT_EQ(oldest, Read()[0].sequence);
}

TEST_F(OutcomesTest, FinishedMessagesOutliveTheAcknowledgement) {
  Retention retention;
  retention.bytes = 64 << 10;
  Open(retention);
  const base::Id first = Deliver();
  for (int i = 0; i < 50; ++i) Deliver();
  ASSERT_TRUE(spool_->SetConsumerCursor("a", 51).ok());
  for (int i = 0; i < 5; ++i) Deliver();
  Sync();
  EXPECT_TRUE(spool_->ReadFinished(first).ok());
}

TEST_F(OutcomesTest, OnlySoManyFinishedMessagesAreAnswered) {
  Retention retention;
  retention.finished_messages = 10;
  Open(retention);
  std::vector<base::Id> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(Deliver());
  Sync();
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadFinished(ids[20]).status()));
  EXPECT_TRUE(spool_->ReadFinished(ids[31]).ok());
  EXPECT_EQ(40U, Read().size());
}

TEST_F(OutcomesTest, BeyondTheSizeTheOldestGoWhoeverWantsThem) {
  Retention retention;
  retention.bytes = 32 << 10;
  Open(retention, &spool_registry_);
  ASSERT_TRUE(spool_->SetConsumerCursor("a", 0).ok());
  const base::Id first = Deliver();
  for (int i = 0; i < 400; ++i) Deliver();
  Sync();
  const OutcomeSource::Range range = spool_->OutcomeRange();
  EXPECT_EQ(401U, range.head);
  EXPECT_GT(range.oldest, 50U);
  EXPECT_LT(range.oldest, 390U);
  EXPECT_EQ(range.oldest, Read()[0].sequence);
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadFinished(first).status()));
  EXPECT_EQ(0U, spool_->ConsumerCursor("a"));  // so that it learns of the gap
}

TEST_F(OutcomesTest, ASpoolOfTheFirstLayoutOpens) {
  const base::Id id = base::NewId(now_);
  {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const char* name : {"default", "content", "state"}) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, dir_.path(), families, &handles, &opened).ok());
    const std::unique_ptr<rocksdb::DB> db(opened);
    const std::string key(RowKey(id, 0).row().data(), kRowKeyBytes);
    ASSERT_TRUE(db->Put({}, handles[1], key.substr(0, 16), "content").ok());
    ASSERT_TRUE(db->Put({}, handles[2], key, EncodeRow(MakeRow(id))).ok());
    for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
  }
  Open();
  EXPECT_EQ(1U, AllRows(*spool_).size());
  EXPECT_EQ(0U, spool_->OutcomeRange().head);
  spool_->Finish(Settled(id, mail::Disposition::kDelivered), {});
  Sync();
  EXPECT_EQ(1U, Read().size());
  EXPECT_TRUE(absl::IsNotFound(spool_->ReadContent(id).status()));
}

// Ends in the middle of its work, as after kill -9.
TEST_F(OutcomesTest, DISABLED_ChildDeliversAndDies) {
  if (ChildDirectory().empty()) GTEST_SKIP();
  auto spool = OpenSpool(ChildDirectory());
  for (int i = 0; i < 20; ++i) {
    const base::Id id = base::NewId(now_ += absl::Milliseconds(1));
    EXPECT_TRUE(StoreNow(*spool, "content", MakeRows(id, 1)).ok());
    spool->Finish(Settled(id, mail::Disposition::kDelivered), {});
  }
  EXPECT_TRUE(spool->SetConsumerCursor("books", 10).ok());
  WaitUntilWritten(*spool, spool->MarkAttempt(MakeRow(base::NewId(now_)), {}));
  _exit(kSkipExit);
}

TEST_F(OutcomesTest, NothingIsLostWhenTheProcessDies) {
  const int status = RunChild("OutcomesTest.DISABLED_ChildDeliversAndDies", dir_.path());
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(kSkipExit, WEXITSTATUS(status));
  Open();
  EXPECT_EQ(20U, Read().size());
  EXPECT_EQ(20U, spool_->OutcomeRange().head);
  EXPECT_EQ(10U, spool_->ConsumerCursor("books"));
  EXPECT_TRUE(spool_->ReadFinished(Read()[3].row.message_id).ok());
}

}  // namespace
}  // namespace postern::spool

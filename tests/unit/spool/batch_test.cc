#include "server/spool/batch.h"

#include <gtest/gtest.h>

#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

class BatchTest : public ::testing::Test {
 protected:
  BatchTest()
      : metrics_(registry_),
        database_(*Database::Open(dir_.path(), std::make_shared<Expiry>(), metrics_)) {}

  WriteOp StoreOp(const base::Id& id) {
    WriteOp op;
    op.kind = WriteOp::Kind::kStore;
    op.message_id = id;
    op.row_count = 1;
    op.content = "content";
    op.rows.push_back(EncodeRow(MakeRow(id)));
    return op;
  }
  WriteOp Op(WriteOp::Kind kind, const base::Id& id) {
    WriteOp op;
    op.kind = kind;
    op.message_id = id;
    op.row_count = 1;
    if (kind == WriteOp::Kind::kUpdate) op.rows.push_back(EncodeRow(MakeRow(id)));
    return op;
  }
  void Write(const WriteOp& op) {
    batch_.Clear();
    batch_.Add(*database_, op);
    ASSERT_TRUE(batch_.Write(*database_).ok());
  }
  int Count(rocksdb::ColumnFamilyHandle* family) {
    const std::unique_ptr<rocksdb::Iterator> at(
        database_->db().NewIterator(rocksdb::ReadOptions(), family));
    int count = 0;
    for (at->SeekToFirst(); at->Valid(); at->Next()) ++count;
    return count;
  }

  TempDir dir_;
  base::Registry registry_;
  SpoolMetrics metrics_;
  std::shared_ptr<Database> database_;
  Batch batch_{7};
};

TEST_F(BatchTest, ADropIsSyncedBecauseItsFilesGoAtOnce) {
  batch_.PutBook(*database_, "name", "value");
  EXPECT_FALSE(batch_.sync());
  batch_.DropOutcomes(*database_, 1, 2);
  EXPECT_TRUE(batch_.sync());
}

TEST_F(BatchTest, AsksForASyncUnlessThereAreOnlyMarks) {
  const base::Id id = base::NewId(TestTime());
  batch_.Add(*database_, Op(WriteOp::Kind::kMark, id));
  EXPECT_FALSE(batch_.sync());
  batch_.Add(*database_, Op(WriteOp::Kind::kUpdate, id));
  EXPECT_TRUE(batch_.sync());
}

TEST_F(BatchTest, RepeatsASingleDeleteOnlyIfTheContentIsStillThere) {
  const base::Id id = base::NewId(TestTime());
  Write(StoreOp(id));
  WriteOp remove = Op(WriteOp::Kind::kRemove, id);
  remove.tried = true;
  Write(remove);
  const std::size_t with_delete = batch_.bytes();
  EXPECT_EQ(0, Count(database_->content()));
  EXPECT_EQ(0, Count(database_->state()));
  Write(remove);
  EXPECT_LT(batch_.bytes(), with_delete);  // now the row's deletion alone
}

TEST_F(BatchTest, SurvivesCompactionAfterStoreAndRemove) {
  for (int i = 0; i < 20; ++i) {
    const base::Id id = base::NewId(TestTime());
    Write(StoreOp(id));
    if (i % 3 == 0) {
      ASSERT_TRUE(database_->db().Flush({}, database_->content()).ok());
    }
    WriteOp remove = Op(WriteOp::Kind::kRemove, id);
    Write(remove);
    remove.tried = true;
    Write(remove);
  }
  rocksdb::CompactRangeOptions all;
  all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  const auto status = database_->db().CompactRange(all, database_->content(), nullptr, nullptr);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(0, Count(database_->content()));
}

TEST_F(BatchTest, RetractsAStoreThatWasWrittenAllTheSame) {
  const base::Id id = base::NewId(TestTime());
  WriteOp store = StoreOp(id);
  store.token = std::make_unique<TokenWork>();
  store.token->key = "token";
  store.token->value = "record";
  Write(std::move(store));
  EXPECT_EQ(1, Count(database_->tokens()));
  batch_.Clear();
  batch_.Retract(*database_, id, 1, "token");
  ASSERT_TRUE(batch_.Write(*database_).ok());
  EXPECT_EQ(0, Count(database_->content()));
  EXPECT_EQ(0, Count(database_->state()));
  EXPECT_EQ(0, Count(database_->tokens()));
}

TEST_F(BatchTest, DeletesAMarkOnlyWhereThereIsOne) {
  const base::Id id = base::NewId(TestTime());
  MarkSet marks;
  WriteOp before = Op(WriteOp::Kind::kUpdate, id);
  marks.Admit(before);
  EXPECT_TRUE(before.marks.empty());
  WriteOp mark = Op(WriteOp::Kind::kMark, id);
  marks.Admit(mark);
  WriteOp after = Op(WriteOp::Kind::kUpdate, id);
  marks.Admit(after);
  EXPECT_EQ(1U, after.marks.size());
  Write(mark);
  EXPECT_EQ(1, Count(database_->state()));
  Write(after);
  EXPECT_EQ(1, Count(database_->state()));  // the row; the mark is gone
  WriteOp last = Op(WriteOp::Kind::kRemove, id);
  marks.Admit(last);
  EXPECT_TRUE(last.marks.empty());
}

TEST_F(BatchTest, RemovesAMarkWithItsMessage) {
  const base::Id id = base::NewId(TestTime());
  MarkSet marks;
  WriteOp ops[] = {StoreOp(id), Op(WriteOp::Kind::kMark, id), Op(WriteOp::Kind::kRemove, id)};
  for (WriteOp& op : ops) {
    marks.Admit(op);
    Write(op);
  }
  EXPECT_EQ(0, Count(database_->state()));
}

TEST_F(BatchTest, KeepsASetAsideRowAndItsContent) {
  const base::Id id = base::NewId(TestTime());
  Write(StoreOp(id));
  WriteOp remove = Op(WriteOp::Kind::kRemove, id);
  remove.set_aside = {0};
  Write(remove);
  EXPECT_EQ(1, Count(database_->content()));
  EXPECT_EQ(1, Count(database_->state()));
}

TEST_F(BatchTest, WritesAProbeThatLeavesNothingBehind) {
  batch_.AddProbe();
  EXPECT_TRUE(batch_.Write(*database_).ok());
  EXPECT_EQ(0, Count(database_->state()));
}

}  // namespace
}  // namespace postern::spool

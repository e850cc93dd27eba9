// What the tests of outcomes share: a spool, messages that come to something, a look at the disk.
#pragma once

#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "server/spool/database.h"
#include "server/spool/outcome_codec.h"
#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {

class OutcomesFixture : public ::testing::Test {
 protected:
  void Open(const Retention& retention = {}, base::Registry* registry = nullptr) {
    spool_.reset();
    RocksSpool::Options options;
    options.directory = dir_.path();
    options.min_free_bytes = 0;
    options.registry = registry;
    options.retention = retention;
    auto spool = RocksSpool::Open(std::move(options));
    ASSERT_TRUE(spool.ok()) << spool.status();
    spool_ = *std::move(spool);
  }

  base::Id Store(std::uint16_t rows = 1) {
    const base::Id id = base::NewId(now_ += absl::Milliseconds(1));
    EXPECT_TRUE(StoreNow(*spool_, "content", MakeRows(id, rows)).ok());
    return id;
  }
  static mail::Row Settled(const base::Id& id, mail::Disposition disposition,
                           std::uint16_t index = 0, std::uint16_t count = 1) {
    mail::Row row = MakeRow(id, index, count);
    row.recipients[0].disposition = disposition;
    row.recipients[0].unreported = true;
    row.attempts = 1;
    return row;
  }
  base::Id Deliver() {
    const base::Id id = Store();
    spool_->Finish(Settled(id, mail::Disposition::kDelivered), {});
    return id;
  }
  // All that was asked for is written.
  void Sync() { WaitUntilWritten(*spool_, spool_->MarkAttempt(MakeRow(base::NewId(now_)), {})); }

  std::vector<OutcomeRecord> Read(std::uint64_t after = 0, std::size_t most = 1000) {
    auto records = spool_->ReadOutcomes(after, most, std::size_t{1} << 20);
    EXPECT_TRUE(records.ok()) << records.status();
    return records.ok() ? *std::move(records) : std::vector<OutcomeRecord>();
  }

  // The spool's database, while the spool is closed.
  std::shared_ptr<Database> Raw() {
    spool_.reset();
    return *Database::Open(dir_.path(), std::make_shared<Expiry>(), metrics_);
  }
  int CountRuns() {
    const auto database = Raw();
    const std::unique_ptr<rocksdb::Iterator> at(database->db().NewIterator({}, database->books()));
    int count = 0;
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      count += IsCheckpointKey({at->key().data(), at->key().size()}) ? 1 : 0;
    }
    return count;
  }
  // Damages a block of the one table that the family is written to: one in the middle, if there is
  // more than one.
  static void Damage(Database& database, rocksdb::ColumnFamilyHandle* family) {
    ASSERT_TRUE(database.db().Flush({}, family).ok());
    std::vector<rocksdb::LiveFileMetaData> files;
    database.db().GetLiveFilesMetaData(&files);
    std::erase_if(files, [&](const auto& f) { return f.column_family_name != family->GetName(); });
    ASSERT_EQ(1U, files.size());
    std::fstream file(files[0].db_path + files[0].name,
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(files[0].size < 16384 ? 8 : static_cast<std::streamoff>(files[0].size * 2 / 5));
    file << std::string(8, '\xa5');
    ASSERT_TRUE(file.good());
  }

  base::Registry registry_;
  SpoolMetrics metrics_{registry_};
  TempDir dir_;
  absl::Time now_ = absl::Now();
  base::Registry spool_registry_;  // for who gives it to Open(): outlives the spool's threads
  std::unique_ptr<RocksSpool> spool_;
};

}  // namespace postern::spool

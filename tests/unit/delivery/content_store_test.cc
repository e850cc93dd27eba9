#include "server/delivery/content_store.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/memory_spool.h"

namespace postern::delivery {
namespace {

class ContentStoreTest : public ::testing::Test {
 protected:
  ContentStoreTest() { store_.SetBudget(100); }

  base::Id Stored(const std::string& content) {
    mail::Row row;
    row.message_id = base::NewId(absl::UnixEpoch() + absl::Seconds(++stored_));
    row.recipients.emplace_back();
    row.pair = std::make_shared<const mail::PairKey>();
    spool_.Store(content, {row}, [](const absl::Status&) {});
    return row.message_id;
  }
  // For a message of its own, or for `id`.
  std::unique_ptr<ContentStore::Loan> Borrow(std::uint64_t bytes) {
    return Borrow(base::NewId(absl::UnixEpoch() + absl::Seconds(++stored_)), bytes);
  }
  std::unique_ptr<ContentStore::Loan> Borrow(const base::Id& id, std::uint64_t bytes) {
    return store_.Borrow(id, bytes, [this] { ++woken_; });
  }

  postern::testing::MemorySpool spool_;
  ContentStore store_{spool_};
  int stored_ = 0;
  int woken_ = 0;
};

TEST_F(ContentStoreTest, GrantsWhatFitsAndTheRestInItsTurn) {
  auto first = Borrow(60);
  auto second = Borrow(60);
  auto third = Borrow(10);
  EXPECT_TRUE(first->granted());
  EXPECT_FALSE(second->granted());
  EXPECT_FALSE(third->granted()) << "first come, first served";
  first.reset();
  EXPECT_TRUE(second->granted());
  EXPECT_TRUE(third->granted());
  EXPECT_EQ(woken_, 2);
  EXPECT_EQ(store_.used_bytes(), 70U);
}

TEST_F(ContentStoreTest, OneContentIsGrantedHoweverLarge) {
  const auto large = Borrow(1000);
  EXPECT_TRUE(large->granted());
  EXPECT_FALSE(Borrow(1)->granted());
}

TEST_F(ContentStoreTest, WhoGoesFromTheLineLetsThoseBehindPass) {
  auto first = Borrow(60);
  auto large = Borrow(90);
  const auto small = Borrow(10);
  large.reset();
  EXPECT_TRUE(small->granted());
  EXPECT_EQ(woken_, 1);
  first.reset();
  EXPECT_EQ(store_.used_bytes(), 10U);
}

TEST_F(ContentStoreTest, AllWhoSendAMessageShareOneCopyThatFitsOnlyOnce) {
  const base::Id id = Stored("a letter");
  auto first_loan = Borrow(id, 80);
  auto second_loan = Borrow(id, 80);  // before the first has read it
  auto other = Borrow(10);
  EXPECT_FALSE(second_loan->granted());
  EXPECT_FALSE(other->granted());
  auto first = store_.Load(std::move(first_loan));
  EXPECT_TRUE(second_loan->granted());
  EXPECT_TRUE(other->granted()) << "nobody is before it any more";
  auto second = store_.Load(std::move(second_loan));
  auto third = store_.Load(Borrow(id, 80));
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  EXPECT_EQ(first->get(), second->get());
  EXPECT_EQ(first->get(), third->get());
  EXPECT_EQ(**first, "a letter");
  EXPECT_EQ(store_.used_bytes(), 90U);
  first->reset();
  second->reset();
  EXPECT_EQ(store_.used_bytes(), 90U);
  third->reset();
  EXPECT_EQ(store_.used_bytes(), 10U);
}

TEST_F(ContentStoreTest, WhatCannotBeReadGivesItsRoomBack) {
  const auto content = store_.Load(Borrow(40));
  EXPECT_EQ(content.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_.used_bytes(), 0U);
}

TEST_F(ContentStoreTest, WakesNobodyOnceItIsStopped) {
  auto first = Borrow(60);
  const auto second = Borrow(60);
  store_.Stop();
  first.reset();
  EXPECT_EQ(woken_, 0);
}

}  // namespace
}  // namespace postern::delivery

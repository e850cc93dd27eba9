// Stores under a token: one and the same however often they are sent.
#include "server/spool/tokens.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

using Answer = absl::StatusOr<std::optional<StoredMessage>>;

class TokensTest : public ::testing::Test {
 protected:
  void Open(absl::Duration ttl = absl::Hours(24), base::Registry* registry = nullptr) {
    spool_.reset();
    RocksSpool::Options options;
    options.registry = registry;
    options.directory = dir_.path();
    options.min_free_bytes = 0;
    options.token_ttl = ttl;
    auto spool = RocksSpool::Open(std::move(options));
    ASSERT_TRUE(spool.ok()) << spool.status();
    spool_ = *std::move(spool);
  }

  static TokenClaim Claim(const std::string& token, unsigned char content = 0,
                          const std::string& identity = "local") {
    TokenClaim claim{identity, token, {}};
    claim.content[0] = content;
    return claim;
  }
  std::future<Answer> Send(TokenClaim claim, std::uint16_t rows = 1) {
    auto answer = std::make_shared<std::promise<Answer>>();
    spool_->StoreOnce(std::move(claim), "content",
                      MakeRows(base::NewId(now_ += absl::Milliseconds(1)), rows),
                      [answer](Answer result) { answer->set_value(std::move(result)); });
    return answer->get_future();
  }

  TempDir dir_;
  absl::Time now_ = absl::Now();
  base::Registry registry_;  // outlives the spool's threads
  std::unique_ptr<RocksSpool> spool_;
};

TEST_F(TokensTest, TheSameAgainGetsWhatWasStoredFirst) {
  Open();
  const Answer first = Send(Claim("t"), 2).get();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->has_value());
  const base::Id id = AllRows(*spool_)[0].message_id;
  const Answer second = Send(Claim("t"), 2).get();
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ(id, (*second)->message_id);
  ASSERT_EQ(2U, (*second)->rows.size());
  EXPECT_EQ("domain1.example", (*second)->rows[1].pair.domain);
  EXPECT_EQ("default", (*second)->rows[1].pair.binding);
  EXPECT_EQ(1U, (*second)->rows[1].recipients);
  EXPECT_EQ(2U, AllRows(*spool_).size());
}

TEST_F(TokensTest, OtherContentIsRefusedNamingTheFirst) {
  Open();
  ASSERT_TRUE(Send(Claim("t", 1)).get().ok());
  const base::Id id = AllRows(*spool_)[0].message_id;
  const absl::Status status = Send(Claim("t", 2)).get().status();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_NE(std::string::npos, std::string(status.message()).find(id.ToString())) << status;
  EXPECT_EQ(1U, AllRows(*spool_).size());
}

TEST_F(TokensTest, ThoseInFlightShareTheOutcomeOfTheFirst) {
  Open();
  std::vector<std::future<Answer>> answers;
  for (int i = 0; i < 50; ++i) answers.push_back(Send(Claim("t")));
  int stored = 0;
  for (std::future<Answer>& answer : answers) {
    const Answer result = answer.get();
    ASSERT_TRUE(result.ok()) << result.status();
    stored += result->has_value() ? 0 : 1;
  }
  EXPECT_EQ(1, stored);
  EXPECT_EQ(1U, AllRows(*spool_).size());
}

TEST_F(TokensTest, IdentitiesDoNotShareTokens) {
  Open();
  EXPECT_FALSE(Send(Claim("b", 1, "a")).get()->has_value());
  EXPECT_FALSE(Send(Claim("b", 2, "c")).get()->has_value());
  // Neither do names that are alike when put together.
  EXPECT_FALSE(Send(Claim("ab", 3, "")).get()->has_value());
  EXPECT_EQ(3U, AllRows(*spool_).size());
}

TEST_F(TokensTest, AClaimSurvivesARestartAndTheMessage) {
  Open();
  ASSERT_TRUE(Send(Claim("t")).get().ok());
  mail::Row row = AllRows(*spool_)[0];
  row.recipients[0].disposition = mail::Disposition::kDelivered;
  spool_->Finish(row, {});
  Open();
  const Answer again = Send(Claim("t")).get();
  ASSERT_TRUE(again.ok() && again->has_value()) << again.status();
  EXPECT_EQ(row.message_id, (*again)->message_id);
  EXPECT_TRUE(AllRows(*spool_).empty());
}

TEST_F(TokensTest, AnExpiredClaimIsNone) {
  Open(absl::ZeroDuration());
  EXPECT_FALSE(Send(Claim("t", 1)).get()->has_value());
  EXPECT_FALSE(Send(Claim("t", 2)).get()->has_value());
  EXPECT_EQ(2U, AllRows(*spool_).size());
}

TEST_F(TokensTest, ARecordThatCannotBeReadIsReplaced) {
  Open();
  ASSERT_TRUE(Send(Claim("t", 1)).get().ok());
  spool_.reset();
  {
    SpoolMetrics metrics(registry_);
    const auto database = *Database::Open(dir_.path(), std::make_shared<Expiry>(), metrics);
    ASSERT_TRUE(database->db().Put({}, database->tokens(), TokenKey(Claim("t")), "\x01").ok());
  }
  Open(absl::Hours(24), &registry_);
  const Answer second = Send(Claim("t", 2)).get();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->has_value());
  EXPECT_EQ(1U, registry_.AddCounter("postern_spool_records_set_aside_total", "").value());
  EXPECT_TRUE(Send(Claim("t", 2)).get()->has_value());  // and stands from then on
}

TEST_F(TokensTest, CompactionLeavesExpiredClaimsOut) {
  Open();
  ASSERT_TRUE(Send(Claim("t")).get().ok());
  spool_.reset();
  base::Registry registry;
  SpoolMetrics metrics(registry);
  for (const auto& [ttl, kept] :
       {std::pair{absl::Hours(24), true}, std::pair{absl::ZeroDuration(), false}}) {
    const auto expiry = std::make_shared<Expiry>();
    expiry->token_ttl = ttl;
    const auto database = *Database::Open(dir_.path(), expiry, metrics);
    rocksdb::CompactRangeOptions all;
    all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    ASSERT_TRUE(database->db().CompactRange(all, database->tokens(), nullptr, nullptr).ok());
    const std::unique_ptr<rocksdb::Iterator> at(database->db().NewIterator({}, database->tokens()));
    at->SeekToFirst();
    EXPECT_EQ(kept, at->Valid());
  }
}

TEST_F(TokensTest, ADamagedRecordPromisesNothing) {
  const std::vector<mail::Row> rows = MakeRows(base::NewId(now_), 1);
  const std::string mine = EncodeToken(Claim("t"), rows, now_);
  ASSERT_TRUE(AnswerFor(mine, mine).ok());
  for (std::size_t size = 0; size < mine.size(); ++size) {
    EXPECT_FALSE(AnswerFor(mine, mine.substr(0, size)).ok()) << size;
    EXPECT_EQ(absl::InfiniteFuture(), TokenTime(mine.substr(0, size))) << size;
  }
  EXPECT_EQ(absl::FromUnixMicros(absl::ToUnixMicros(now_)), TokenTime(mine));
}

}  // namespace
}  // namespace postern::spool

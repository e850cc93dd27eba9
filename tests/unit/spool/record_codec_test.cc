#include "server/spool/record_codec.h"

#include <gtest/gtest.h>

#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

mail::Row FullRow() {
  mail::Row row = MakeRow(base::NewId(TestTime()), 300, 301);
  row.pair = std::make_shared<mail::PairKey>(mail::PairKey{"example.org", "pool-7"});
  auto shared = std::make_shared<mail::Reply>(
      mail::Reply{451, "4.7.1", "try later\nsecond line", mail::SmtpStage::kMail});
  auto other = std::make_shared<mail::Reply>(
      mail::Reply{550, "5.1.1", std::string("no\0such", 7), mail::SmtpStage::kRcpt});
  row.recipients = {{"a@example.org", mail::Disposition::kDeferred, shared},
                    {"b@example.org", mail::Disposition::kFailed, other},
                    {"c@example.org", mail::Disposition::kDeferred, shared},
                    {"d@example.org", mail::Disposition::kQueued, nullptr}};
  row.created = TestTime() + absl::Microseconds(1);
  row.expires = absl::InfiniteFuture();
  row.next_attempt = TestTime() + absl::Hours(1);
  row.last_attempt = TestTime() + absl::Seconds(7);
  row.recipients[1].changed = TestTime() + absl::Seconds(8);
  row.attempts = 4000000000;
  row.reason = mail::RequeueReason::kTransientFailure;
  row.priority = 255;
  row.in_doubt = row.eight_bit = row.smtp_utf8 = true;
  row.content_bytes = std::uint64_t{1} << 40;
  row.tenant = "tenant";
  row.token = "token-1";
  row.submitter = "mailer";
  return row;
}

void ExpectSame(const mail::Row& a, const mail::Row& b) {
  EXPECT_EQ(a.message_id, b.message_id);
  EXPECT_EQ(a.index, b.index);
  EXPECT_EQ(a.row_count, b.row_count);
  EXPECT_EQ(*a.pair, *b.pair);
  EXPECT_EQ(a.sender, b.sender);
  EXPECT_EQ(a.created, b.created);
  EXPECT_EQ(a.expires, b.expires);
  EXPECT_EQ(a.next_attempt, b.next_attempt);
  EXPECT_EQ(a.last_attempt, b.last_attempt);
  EXPECT_EQ(a.attempts, b.attempts);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_EQ(a.priority, b.priority);
  EXPECT_EQ(a.in_doubt, b.in_doubt);
  EXPECT_EQ(a.eight_bit, b.eight_bit);
  EXPECT_EQ(a.smtp_utf8, b.smtp_utf8);
  EXPECT_EQ(a.content_bytes, b.content_bytes);
  EXPECT_EQ(a.tenant, b.tenant);
  EXPECT_EQ(a.token, b.token);
  EXPECT_EQ(a.submitter, b.submitter);
  ASSERT_EQ(a.recipients.size(), b.recipients.size());
  for (std::size_t i = 0; i < a.recipients.size(); ++i) {
    EXPECT_EQ(a.recipients[i].address, b.recipients[i].address);
    EXPECT_EQ(a.recipients[i].disposition, b.recipients[i].disposition);
    EXPECT_EQ(a.recipients[i].changed, b.recipients[i].changed);
    ASSERT_EQ(a.recipients[i].last_reply == nullptr, b.recipients[i].last_reply == nullptr);
    if (a.recipients[i].last_reply != nullptr) {
      EXPECT_EQ(*a.recipients[i].last_reply, *b.recipients[i].last_reply);
    }
  }
}

TEST(RecordCodecTest, ReadsBackEveryFieldOfARow) {
  const mail::Row row = FullRow();
  const auto read = DecodeRow(RowKey(row.message_id, row.index).row(), View(EncodeRow(row)));
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSame(row, *read);
}

TEST(RecordCodecTest, ReadsBackARowOfDefaults) {
  mail::Row row;
  row.message_id = base::NewId(TestTime());
  row.pair = std::make_shared<mail::PairKey>(mail::PairKey{"d", ""});
  row.created = absl::InfinitePast();
  row.expires = absl::UnixEpoch() - absl::Seconds(5);
  row.next_attempt = absl::UnixEpoch();
  const auto read = DecodeRow(RowKey(row.message_id, 0).row(), View(EncodeRow(row)));
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSame(row, *read);
}

TEST(RecordCodecTest, KeepsSharedRepliesShared) {
  const mail::Row row = FullRow();
  const auto read = DecodeRow(RowKey(row.message_id, row.index).row(), View(EncodeRow(row)));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->recipients[0].last_reply, read->recipients[2].last_reply);
  EXPECT_NE(read->recipients[0].last_reply, read->recipients[1].last_reply);
}

TEST(RecordCodecTest, StaysSmallForAnOrdinaryRow) {
  EXPECT_LE(EncodeRow(MakeRow(base::NewId(TestTime()))).size(), 128U);
}

TEST(RecordCodecTest, RefusesEveryTruncationAndAnExtraByte) {
  const mail::Row row = FullRow();
  const RowKey key(row.message_id, row.index);
  const std::string value = EncodeRow(row);
  for (std::size_t size = 0; size < value.size(); ++size) {
    const auto read = DecodeRow(key.row(), View(value).substr(0, size));
    EXPECT_TRUE(absl::IsDataLoss(read.status())) << size << " " << read.status();
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeRow(key.row(), View(value + '\0')).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeRow(key.mark(), View(value)).status()));
}

TEST(RecordCodecTest, NeverReadsOutsideADamagedRecord) {
  const mail::Row row = FullRow();
  const RowKey key(row.message_id, row.index);
  const std::string value = EncodeRow(row);
  for (std::size_t at = 0; at < value.size(); ++at) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string damaged = value;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      const auto read = DecodeRow(key.row(), View(damaged));  // the sanitizers watch
      EXPECT_TRUE(!read.ok() || read->index < read->row_count);
    }
  }
}

TEST(RecordCodecTest, TellsANewerVersionFromDamage) {
  const mail::Row row = MakeRow(base::NewId(TestTime()));
  std::string value = EncodeRow(row);
  value[0] = 2;
  EXPECT_TRUE(
      absl::IsUnimplemented(DecodeRow(RowKey(row.message_id, 0).row(), View(value)).status()));
  value[0] = 0;
  EXPECT_TRUE(absl::IsDataLoss(DecodeRow(RowKey(row.message_id, 0).row(), View(value)).status()));
}

TEST(RecordCodecTest, SkipsFieldsThatItDoesNotKnow) {
  const mail::Row row = MakeRow(base::NewId(TestTime()));
  std::string value = EncodeRow(row);
  ASSERT_LT(value.size(), 120U);  // so that the length is one byte
  const std::string unknown = {50 << 1, 7, 51 << 1 | 1, 3, 'a', 'b', 'c'};
  value += unknown;
  value[1] = static_cast<char>(static_cast<std::size_t>(value[1]) + unknown.size());
  const auto read = DecodeRow(RowKey(row.message_id, 0).row(), View(value));
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSame(row, *read);
}

TEST(RecordCodecTest, RefusesAnIndexBeyondTheRowCount) {
  const mail::Row row = MakeRow(base::NewId(TestTime()));
  EXPECT_TRUE(
      absl::IsDataLoss(DecodeRow(RowKey(row.message_id, 1).row(), View(EncodeRow(row))).status()));
}

TEST(RecordCodecTest, SortsRowsByIndexAndAMarkBehindItsRow) {
  const base::Id id = base::NewId(TestTime());
  EXPECT_LT(RowKey(id, 255).row(), RowKey(id, 256).row());
  EXPECT_LT(RowKey(id, 1).row(), RowKey(id, 1).mark());
  EXPECT_LT(RowKey(id, 1).mark(), RowKey(id, 2).row());
}

TEST(RecordCodecTest, InternsEqualPairs) {
  PairInterner pairs;
  const mail::Row row = MakeRow(base::NewId(TestTime()));
  const std::string value = EncodeRow(row);
  const auto a = DecodeRow(RowKey(row.message_id, 0).row(), View(value), &pairs);
  const auto b = DecodeRow(RowKey(row.message_id, 0).row(), View(value), &pairs);
  EXPECT_EQ(a->pair, b->pair);
}

TEST(RecordCodecTest, KnowsItsOwnMarks) {
  const std::string mark = EncodeMark(0x0102030405060708);
  EXPECT_TRUE(MarkIsOf(View(mark), 0x0102030405060708));
  EXPECT_FALSE(MarkIsOf(View(mark), 0x0102030405060709));
  EXPECT_FALSE(MarkIsOf(View(mark).substr(0, 8), 0x0102030405060708));
  EXPECT_FALSE(MarkIsOf({}, 0));
}

}  // namespace
}  // namespace postern::spool

#include "server/spool/outcome_codec.h"

#include <gtest/gtest.h>

#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

mail::Row ThreeRecipients() {
  mail::Row row = MakeRow(base::NewId(TestTime()));
  row.recipients.clear();
  for (const char* address : {"a@d.example", "b@d.example", "c@d.example"}) {
    row.recipients.push_back({address, mail::Disposition::kQueued, nullptr});
  }
  return row;
}

void Settle(mail::Recipient& recipient, mail::Disposition disposition) {
  recipient.disposition = disposition;
  recipient.unreported = true;
}

TEST(OutcomeCodecTest, ARowWithoutNewsIsNoOutcome) {
  const EncodedOutcome encoded = EncodeOutcome(ThreeRecipients(), TestTime(), {});
  EXPECT_EQ(0U, encoded.count);
  EXPECT_TRUE(encoded.value.empty());
}

TEST(OutcomeCodecTest, ARowThatGoesOnKeepsOnlyItsNews) {
  mail::Row row = ThreeRecipients();
  Settle(row.recipients[1], mail::Disposition::kDeferred);
  row.recipients[1].last_reply = std::make_shared<const mail::Reply>(
      mail::Reply{451, "4.7.1", "later", mail::SmtpStage::kRcpt});
  mail::ConnectionInfo connection;
  connection.id = base::NewId(TestTime());
  connection.mx_host = "mx.d.example";
  connection.remote_address = "192.0.2.1:25";
  const EncodedOutcome encoded =
      EncodeOutcome(row, TestTime(), {&connection, absl::Milliseconds(12)});
  EXPECT_EQ(1U, encoded.count);
  EXPECT_EQ(1U, OutcomeCount(encoded.value));
  const auto record = DecodeOutcome(OutcomeKey(77), encoded.value);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(77U, record->sequence);
  EXPECT_EQ(TestTime(), record->time);
  EXPECT_EQ(row.message_id, record->row.message_id);
  ASSERT_EQ(1U, record->row.recipients.size());
  EXPECT_EQ("b@d.example", record->row.recipients[0].address);
  EXPECT_EQ(451, record->row.recipients[0].last_reply->code);
  EXPECT_EQ(std::vector<std::uint32_t>{0}, record->news);
  ASSERT_TRUE(record->connection.has_value());
  EXPECT_EQ(connection.id, record->connection->id);
  EXPECT_EQ("mx.d.example", record->connection->mx_host);
  EXPECT_EQ("192.0.2.1:25", record->connection->remote_address);
  EXPECT_EQ(absl::Milliseconds(12), record->took);
}

TEST(OutcomeCodecTest, AFinalRowIsKeptWholeWithItsNewsMarked) {
  mail::Row row = ThreeRecipients();
  for (mail::Recipient& recipient : row.recipients) {
    recipient.disposition = mail::Disposition::kDelivered;
  }
  Settle(row.recipients[0], mail::Disposition::kFailed);
  Settle(row.recipients[2], mail::Disposition::kExpired);
  const auto record = DecodeOutcome(OutcomeKey(1), EncodeOutcome(row, TestTime(), {}).value);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(3U, record->row.recipients.size());
  EXPECT_EQ((std::vector<std::uint32_t>{0, 2}), record->news);
  EXPECT_FALSE(record->connection.has_value());
}

TEST(OutcomeCodecTest, RefusesEveryCutAndEveryChangedLength) {
  mail::Row row = ThreeRecipients();
  Settle(row.recipients[0], mail::Disposition::kDeferred);
  const std::string value = EncodeOutcome(row, TestTime(), {}).value;
  for (std::size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(DecodeOutcome(OutcomeKey(1), value.substr(0, size)).ok()) << size;
  }
  std::string newer = value;
  newer[0] = 2;
  EXPECT_TRUE(absl::IsUnimplemented(DecodeOutcome(OutcomeKey(1), newer).status()));
}

TEST(OutcomeCodecTest, BooksComeBackAsTheyWere) {
  const auto log = DecodeLog(Encode(LogRecord{~std::uint64_t{0}, 12}));
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(~std::uint64_t{0}, log->log);
  EXPECT_EQ(12U, log->floor);
  const std::string key = CheckpointKey(300);
  EXPECT_TRUE(IsCheckpointKey(key));
  const auto checkpoint = DecodeCheckpoint(key, Encode(Checkpoint{300, TestTime(), 5, 6}));
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_EQ(300U, checkpoint->sequence);
  EXPECT_EQ(TestTime(), checkpoint->time);
  EXPECT_EQ(5U, checkpoint->bytes);
  EXPECT_EQ(6U, checkpoint->messages);
  EXPECT_EQ("books", ConsumerName(ConsumerKey("books")));
  EXPECT_EQ("", ConsumerName(key));
  EXPECT_EQ(9U, DecodeConsumer(Encode(Consumer{9, TestTime()}))->cursor);
}

}  // namespace
}  // namespace postern::spool

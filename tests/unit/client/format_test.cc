#include "client/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/messages.h"

namespace postern::client {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

google::protobuf::Duration Of(std::int64_t seconds, std::int32_t nanos = 0) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  duration.set_nanos(nanos);
  return duration;
}

TEST(Format, DurationsAreShort) {
  EXPECT_EQ(FormatDuration(Of(0)), "0s");
  EXPECT_EQ(FormatDuration(Of(0, 340'000)), "340us");
  EXPECT_EQ(FormatDuration(Of(0, 12'000'000)), "12ms");
  EXPECT_EQ(FormatDuration(Of(1, 500'000'000)), "1.5s");
  EXPECT_EQ(FormatDuration(Of(200)), "3m20s");
  EXPECT_EQ(FormatDuration(Of(18600)), "5h10m");
  EXPECT_EQ(FormatDuration(Of(2 * 86400 + 4 * 3600)), "2d4h");
}

TEST(Format, TimesOfAnotherDayHaveTheirDate) {
  const absl::TimeZone zone = absl::LocalTimeZone();
  const absl::Time now = absl::FromCivil(absl::CivilSecond(2024, 2, 28, 14, 3, 59), zone);
  const auto at = [now](absl::Duration later) {
    google::protobuf::Timestamp time;
    time.set_seconds(absl::ToUnixSeconds(now + later));
    time.set_nanos(120'000'000);
    return time;
  };
  EXPECT_EQ(FormatTime(at(absl::ZeroDuration()), now), "14:03:59.120");
  EXPECT_EQ(FormatTime(at(absl::Hours(48)), now), "2024-03-01 14:03:59.120");
  EXPECT_EQ(FormatTime(at(-absl::Hours(24)), now), "2024-02-27 14:03:59.120");
  EXPECT_EQ(FormatTime({}, now), "-");
  google::protobuf::Timestamp days_ahead;
  const absl::Time later = absl::Now() + absl::Hours(48);  // one look: midnight may come
  days_ahead.set_seconds(absl::ToUnixSeconds(later));
  v1::MessageRow row;
  *row.mutable_next_attempt() = days_ahead;
  const std::string date = absl::FormatTime("%Y-%m-%d ", later, zone);
  EXPECT_THAT(DescribeRow(row), HasSubstr("next attempt " + date));
}

TEST(Format, EnumsAreNamedWithoutTheirPrefix) {
  EXPECT_EQ(ShortName(v1::DISPOSITION_DEFERRED), "deferred");
  EXPECT_EQ(ShortName(v1::REQUEUE_REASON_REPLY_421), "reply_421");
  EXPECT_EQ(ShortName(v1::CONN_ERROR_MX_LOOKUP_FAILED), "mx_lookup_failed");
  EXPECT_EQ(ShortName(v1::DISPOSITION_UNSPECIFIED), "-");
  EXPECT_EQ(ShortName(static_cast<v1::Disposition>(99)), "99");
}

TEST(Format, StatusCodesHaveTheirCanonicalNames) {
  EXPECT_EQ(CodeName(3), "INVALID_ARGUMENT");
  EXPECT_EQ(CodeName(14), "UNAVAILABLE");
  EXPECT_EQ(CodeName(16), "UNAUTHENTICATED");
  EXPECT_EQ(CodeName(99), "CODE_99");
}

TEST(Format, TextOfStrangersCannotCommandTheTerminal) {
  EXPECT_EQ(Printable("550 no\r\n550 \x1b[2Jway\x7f"), "550 no / 550 ?[2Jway?");
}

TEST(Format, ReplyWithoutCodeShowsItsText) {
  v1::Reply reply;
  EXPECT_EQ(FormatReply(reply), "-");
  reply.set_text("connection lost");
  EXPECT_EQ(FormatReply(reply), "connection lost");
  reply.set_code(451);
  reply.set_enhanced_status("4.7.1");
  reply.set_text("later");
  EXPECT_EQ(FormatReply(reply), "451 4.7.1 later");
}

TEST(Format, TableAlignsNumbersToTheRight) {
  EXPECT_EQ(FormatTable({{"QUEUE", "N"}, {"a/b", "7"}, {"long.example/b", "1000"}}),
            "QUEUE              N\n"
            "a/b                7\n"
            "long.example/b  1000\n");
}

TEST(Format, TableWithoutRowsIsEmpty) { EXPECT_EQ(FormatTable({{"QUEUE", "N"}}), ""); }

TEST(Format, JsonKeepsFieldNamesOnOneLine) {
  v1::Reply reply;
  reply.set_enhanced_status("2.0.0");
  reply.set_text("a\nb");
  EXPECT_EQ(
      ToJson(reply),
      R"({"code":0,"enhanced_status":"2.0.0","text":"a\nb","stage":"SMTP_STAGE_UNSPECIFIED"})");
}

TEST(Format, ParsesDurationsWithUnits) {
  EXPECT_EQ(ParseDuration("90s")->seconds(), 90);
  EXPECT_EQ(ParseDuration("250ms")->nanos(), 250'000'000);
  EXPECT_EQ(ParseDuration("5d")->seconds(), 5 * 86400);
  EXPECT_FALSE(ParseDuration("30"));
  EXPECT_FALSE(ParseDuration("-1s"));
  EXPECT_FALSE(ParseDuration("inf"));
  EXPECT_FALSE(ParseDuration(""));
}

TEST(Format, ParsesKindsByAliasAndByName) {
  EXPECT_THAT(*ParseKinds("closed,post_initiate_connection_smtp"),
              testing::ElementsAre(v1::EVENT_KIND_CONNECTION_CLOSED,
                                   v1::EVENT_KIND_POST_INITIATE_CONNECTION_SMTP));
  EXPECT_EQ(ParseKinds("all")->size(), 5U);
  EXPECT_FALSE(ParseKinds(""));
}

TEST(Format, ConnectionErrorIsNamed) {
  v1::Event event;
  event.set_sequence(7);
  event.mutable_connection()->set_domain("example.net");
  event.mutable_connection()->mutable_binding()->set_name("bulk");
  event.mutable_post_initiate_connection_smtp()->set_error(v1::CONN_ERROR_CONNECT);
  event.mutable_post_initiate_connection_smtp()->set_detail("Connection refused");
  EXPECT_THAT(FormatEvent(event),
              EndsWith("connection - example.net/bulk no host error connect: Connection refused"));
}

TEST(Format, CloseTellsWhoAndWhy) {
  v1::Event event;
  v1::ConnectionClosed& closed = *event.mutable_connection_closed();
  closed.set_cause(v1::CLOSE_CAUSE_REMOTE_POLICY);
  closed.set_provider("cli");
  closed.set_reason("after 3 deliveries");
  closed.set_deliveries(3);
  closed.set_attempts(4);
  EXPECT_THAT(FormatEvent(event),
              HasSubstr("remote_policy by cli: after 3 deliveries; 3 of 4 delivered"));
}

TEST(Format, DefaultVerdictShowsItsCause) {
  v1::Event event;
  event.mutable_verdict()->set_decision(v1::DECISION_SHUTDOWN);
  event.mutable_verdict()->set_source(v1::DECISION_SOURCE_DEFAULT);
  event.mutable_verdict()->set_default_cause(v1::DEFAULT_CAUSE_TIMEOUT);
  EXPECT_THAT(FormatEvent(event), HasSubstr("shutdown (default on timeout"));
}

TEST(Format, EventOfALaterReleaseIsStillALine) {
  EXPECT_THAT(FormatEvent(v1::Event()), HasSubstr(" ? "));
}

TEST(Format, ShortIdIsTheRandomEndOfAnId) {
  EXPECT_EQ(ShortId("0193e1a0b2c3d4e5f60718290a1b2c3d"), "0a1b2c3d");
  EXPECT_EQ(ShortId(""), "-");
}

TEST(Format, RowStateIsMixedWhenRecipientsDiffer) {
  v1::MessageRow row;
  EXPECT_EQ(RowState(row), "-");
  row.add_recipients()->set_disposition(v1::DISPOSITION_DELIVERED);
  EXPECT_EQ(RowState(row), "delivered");
  row.add_recipients()->set_disposition(v1::DISPOSITION_FAILED);
  EXPECT_EQ(RowState(row), "mixed");
}

TEST(Format, RowTellsWhyItWaits) {
  v1::MessageRow row;
  row.set_attempts(1);
  row.set_in_doubt(true);
  row.set_reason(v1::REQUEUE_REASON_IN_DOUBT);
  EXPECT_EQ(DescribeRow(row), "1 attempt, in doubt, waits: in_doubt");
}

}  // namespace
}  // namespace postern::client

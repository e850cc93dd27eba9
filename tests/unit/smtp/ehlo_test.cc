#include "server/smtp/ehlo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace postern::smtp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Capabilities FromText(std::string text) {
  return ParseEhlo(mail::Reply{250, "", std::move(text), mail::SmtpStage::kEhlo});
}

TEST(EhloTest, ReadsEveryExtensionInAnyCase) {
  const Capabilities c = FromText(
      "mx.example greets you\nPIPELINING\nsize 35882577\n8bitMIME\nSMTPUTF8\nCHUNKING\nBINARYMIME\n"
      "DSN\nENHANCEDSTATUSCODES\nSTARTTLS\nAUTH PLAIN login\nLIMITS RCPTMAX=50 MAILMAX=7 "
      "RCPTDOMAINMAX=1");
  EXPECT_TRUE(c.esmtp && c.pipelining && c.size && c.eight_bit_mime && c.smtp_utf8 && c.chunking &&
              c.binary_mime && c.dsn && c.enhanced_status_codes && c.starttls);
  EXPECT_EQ(c.max_message_bytes, 35882577u);
  EXPECT_THAT(c.auth_mechanisms, ElementsAre("PLAIN", "LOGIN"));
  EXPECT_EQ(c.mail_max, 7);
  EXPECT_EQ(c.rcpt_max, 50);
  EXPECT_EQ(c.rcpt_domain_max, 1);
  EXPECT_EQ(c.lines.size(), 11u);
  EXPECT_EQ(c.lines.front(), "PIPELINING");
}

TEST(EhloTest, TakesNothingFromTheGreetingLine) {
  const Capabilities c = FromText("PIPELINING");
  EXPECT_TRUE(c.esmtp);
  EXPECT_FALSE(c.pipelining);
  EXPECT_THAT(c.lines, IsEmpty());
}

TEST(EhloTest, SizeWithoutAUsableNumberIsNoLimit) {
  for (const char* line : {"SIZE", "SIZE 0", "SIZE x", "SIZE 99999999999999999999999"}) {
    const Capabilities c = FromText(absl::StrCat("mx\n", line));
    EXPECT_TRUE(c.size) << line;
    EXPECT_EQ(c.max_message_bytes, 0u) << line;
  }
}

TEST(EhloTest, PassesOverWhatIsMalformedOrUnknown) {
  const Capabilities c = FromText(
      "mx\n\nXCLIENT NAME\nPIPELININGX\nLIMITS RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX=1234567 RCPTMAX "
      "RCPTMAX= FOO=3 MAILMAX=-4\n");
  EXPECT_FALSE(c.pipelining);
  EXPECT_EQ(c.rcpt_max, 0);
  EXPECT_EQ(c.mail_max, 0);
  EXPECT_EQ(c.rcpt_domain_max, 0);
}

TEST(EhloTest, KnowsTheOldFormOfAuthToo) {
  EXPECT_THAT(FromText("mx\nAUTH=LOGIN PLAIN\nAUTH PLAIN LOGIN XOAUTH2").auth_mechanisms,
              ElementsAre("LOGIN", "PLAIN", "XOAUTH2"));
}

TEST(EhloTest, BoundsTheLinesItKeeps) {
  std::string text = "mx";
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, "\nX", i);
  EXPECT_EQ(FromText(text).lines.size(), Capabilities::kMaxLines);
}

TEST(EhloTest, LimitsRecipientsByTheSmallerNumber) {
  Capabilities c;
  EXPECT_EQ(c.RecipientLimit(100), 100);
  c.rcpt_max = 20;
  EXPECT_EQ(c.RecipientLimit(100), 20);
  c.rcpt_max = 500;
  EXPECT_EQ(c.RecipientLimit(100), 100);
}

}  // namespace
}  // namespace postern::smtp

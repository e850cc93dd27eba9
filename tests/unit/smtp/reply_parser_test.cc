#include "server/smtp/reply_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace postern::smtp {
namespace {

using ::testing::ElementsAre;

struct Parsed {
  std::vector<mail::Reply> replies;
  absl::Status status;
  bool partial = false;
};

// Parses `bytes` handed over in pieces of `piece` bytes, the first one of `first`.
Parsed Parse(absl::string_view bytes, std::size_t first = std::string::npos,
             std::size_t piece = std::string::npos) {
  Parsed out;
  ReplyParser parser;
  std::size_t size = first;
  while (!bytes.empty()) {
    absl::string_view part = bytes.substr(0, size);
    bytes.remove_prefix(part.size());
    size = piece;
    while (!part.empty()) {
      const absl::StatusOr<bool> complete = parser.Parse(&part);
      if (!complete.ok()) {
        out.status = complete.status();
        return out;
      }
      if (*complete) out.replies.push_back(parser.reply());
    }
  }
  out.partial = parser.partial();
  return out;
}

mail::Reply R(int code, std::string enhanced, std::string text) {
  return mail::Reply{code, std::move(enhanced), std::move(text), mail::SmtpStage::kNone};
}

TEST(ReplyParserTest, ReadsCodeEnhancedCodeAndText) {
  EXPECT_THAT(Parse("250 2.1.5 Recipient ok\r\n").replies,
              ElementsAre(R(250, "2.1.5", "Recipient ok")));
  EXPECT_THAT(Parse("220 mx.example ESMTP\r\n").replies,
              ElementsAre(R(220, "", "mx.example ESMTP")));
  EXPECT_THAT(Parse("250\r\n").replies, ElementsAre(R(250, "", "")));
  EXPECT_THAT(Parse("250 \r\n").replies, ElementsAre(R(250, "", "")));
  EXPECT_THAT(Parse("550 5.1.1\r\n").replies, ElementsAre(R(550, "5.1.1", "")));
}

TEST(ReplyParserTest, JoinsLinesAndTakesTheEnhancedCodeOffEachOfThem) {
  EXPECT_THAT(Parse("550-5.7.1 blocked\r\n550-5.7.1 see\r\n550 5.7.1 http://x\r\n").replies,
              ElementsAre(R(550, "5.7.1", "blocked\nsee\nhttp://x")));
  EXPECT_THAT(Parse("550-\r\n550-5.7.1 a\r\n550 5.1.1 b\r\n").replies,
              ElementsAre(R(550, "5.7.1", "\na\n5.1.1 b")));
}

TEST(ReplyParserTest, LeavesInTheTextWhatIsNotAnEnhancedCodeOfTheClass) {
  for (absl::string_view text : {"4.1.1 x", "5.1 x", "5.1.1.1 x", "5.1.1x", "5.1234.1 x", "5..1 x",
                                 "5.1.", "1.2.3.4 is blocked"}) {
    EXPECT_THAT(Parse(absl::StrCat("550 ", text, "\r\n")).replies,
                ElementsAre(R(550, "", std::string(text.data(), text.size()))))
        << text;
  }
  EXPECT_THAT(Parse("354 3.0.0 go\r\n").replies, ElementsAre(R(354, "", "3.0.0 go")));
}

TEST(ReplyParserTest, GivesTheSameRepliesForEverySplit) {
  const std::string bytes =
      "220-mx\r\n220 hello\r\n250-mx\n250-SIZE 10\n250 DSN\n550 5.1.1 no\r\n354 go\r\n421\r\n";
  const Parsed whole = Parse(bytes);
  ASSERT_EQ(whole.replies.size(), 5u);
  for (std::size_t at = 1; at < bytes.size(); ++at) {
    EXPECT_EQ(Parse(bytes, at).replies, whole.replies) << at;
  }
  for (std::size_t piece = 1; piece < 20; ++piece) {
    EXPECT_EQ(Parse(bytes, piece, piece).replies, whole.replies) << piece;
  }
}

TEST(ReplyParserTest, KnowsThatAReplyIsNotComplete) {
  EXPECT_TRUE(Parse("250-a\r\n").partial);
  EXPECT_TRUE(Parse("2").partial);
  EXPECT_FALSE(Parse("250 a\r\n").partial);
  EXPECT_TRUE(Parse("250 a\r\n4").partial);
}

TEST(ReplyParserTest, RefusesWhatIsNotAReply) {
  for (absl::string_view bytes :
       {"hello\r\n", "\r\n", "25\r\n", "199 x\r\n", "600 x\r\n", "2x0 x\r\n", "250_x\r\n",
        "250-a\r\n251 b\r\n", "250-a\r\nb\r\n", "SSH-2.0-x\r\n", " 250 x\r\n"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Parse(bytes).status)) << bytes;
  }
}

TEST(ReplyParserTest, KeepsTheRepliesBeforeAMalformedLine) {
  const Parsed parsed = Parse("250 a\r\nrubbish\r\n");
  EXPECT_THAT(parsed.replies, ElementsAre(R(250, "", "a")));
  EXPECT_FALSE(parsed.status.ok());
}

TEST(ReplyParserTest, BoundsALine) {
  const std::string longest =
      absl::StrCat("250 ", std::string(ReplyParser::kMaxLineBytes - 4, 'x'));
  EXPECT_EQ(Parse(absl::StrCat(longest, "\r\n")).replies.size(), 1u);
  EXPECT_TRUE(absl::IsResourceExhausted(Parse(absl::StrCat(longest, "x\r\n")).status));
  EXPECT_TRUE(absl::IsResourceExhausted(Parse(absl::StrCat(longest, "x\n")).status));
  EXPECT_TRUE(absl::IsResourceExhausted(Parse(absl::StrCat(longest, "x\r\n"), 7, 7).status));
  // Without any line end, too.
  EXPECT_TRUE(absl::IsResourceExhausted(Parse(std::string(5000, '2'), 100, 100).status));
}

TEST(ReplyParserTest, BoundsAReply) {
  std::string bytes;
  while (bytes.size() <= ReplyParser::kMaxReplyBytes) {
    absl::StrAppend(&bytes, "250-", std::string(1000, 'x'), "\r\n");
  }
  EXPECT_TRUE(absl::IsResourceExhausted(Parse(bytes).status));
  EXPECT_TRUE(absl::IsResourceExhausted(Parse(bytes, 1000, 1000).status));
  bytes.resize(bytes.size() - 2 * 1006);
  absl::StrAppend(&bytes, "250 end\r\n");
  EXPECT_EQ(Parse(bytes).replies.size(), 1u);
}

TEST(ReplyParserTest, MakesTextHarmless) {
  const std::string nul("250 a\0b\x1b[1m\rc\td\x7f\r\n", 18);
  EXPECT_THAT(Parse(nul).replies, ElementsAre(R(250, "", "a?b?[1m?c d?")));
  EXPECT_THAT(Parse("250 gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x93\xAC\r\n").replies,
              ElementsAre(R(250, "", "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x93\xAC")));
  // Latin-1, overlong, surrogate, above U+10FFFF, cut off.
  EXPECT_THAT(Parse("250 \xFC \xC0\xAF \xED\xA0\x80 \xF4\x90\x80\x80 \xE2\x82\r\n").replies,
              ElementsAre(R(250, "", "? ?? ??? ???? ??")));
}

TEST(ReplyParserTest, CanBeUsedAgainAfterReset) {
  ReplyParser parser;
  absl::string_view bytes = "250-half\r\n25";
  ASSERT_TRUE(parser.Parse(&bytes).ok());
  parser.Reset();
  EXPECT_FALSE(parser.partial());
  bytes = "220 new\r\n";
  const absl::StatusOr<bool> complete = parser.Parse(&bytes);
  ASSERT_TRUE(complete.ok());
  EXPECT_TRUE(*complete);
  EXPECT_EQ(parser.reply(), R(220, "", "new"));
}

}  // namespace
}  // namespace postern::smtp

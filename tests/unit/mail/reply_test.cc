#include "server/mail/reply.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"

namespace postern::mail {
namespace {

Reply WithText(std::string text) { return Reply{550, "5.7.1", std::move(text), SmtpStage::kNone}; }

std::string KeptText(std::string text) {
  const Reply kept = Kept(WithText(std::move(text)), SmtpStage::kRcpt);
  EXPECT_LE(kept.text.size(), kMaxKeptTextBytes);
  return kept.text;
}

TEST(ReplyTest, AReplyOfOrdinaryLengthIsKeptWhole) {
  const std::string most(kMaxKeptTextBytes, 'x');
  EXPECT_EQ(Kept(WithText(most), SmtpStage::kRcpt), (Reply{550, "5.7.1", most, SmtpStage::kRcpt}));
}

TEST(ReplyTest, ALongReplyIsCutAndSaysSo) {
  const Reply kept = Kept(WithText(std::string(60000, 'x')), SmtpStage::kBody);
  EXPECT_EQ(kept.code, 550);
  EXPECT_EQ(kept.enhanced, "5.7.1");
  EXPECT_EQ(kept.stage, SmtpStage::kBody);
  EXPECT_EQ(kept.text, std::string(kMaxKeptTextBytes - 6, 'x') + " [...]");
}

TEST(ReplyTest, NoCharacterIsCutInTwo) {
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'x');
    while (text.size() <= kMaxKeptTextBytes) text += "\xf0\x9f\x93\xa7";
    const std::string kept = KeptText(text);
    EXPECT_EQ((kept.size() - 6 - shift) % 4, 0U) << shift;
    EXPECT_GT(kept.size(), kMaxKeptTextBytes - 4) << shift;
    EXPECT_TRUE(absl::EndsWith(kept, "\xa7 [...]") || shift == 0) << shift;
  }
}

TEST(ReplyTest, ALineIsLeftWholeIfItEndsNearTheCut) {
  const std::string line(600, 'x');
  EXPECT_EQ(KeptText(line + "\n" + line + "\n" + line), line + " [...]");
  const std::string begin = "no\n" + std::string(2000, 'x');
  EXPECT_EQ(KeptText(begin), begin.substr(0, kMaxKeptTextBytes - 6) + " [...]");
}

}  // namespace
}  // namespace postern::mail

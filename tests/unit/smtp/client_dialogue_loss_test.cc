// Transactions, with and without PIPELINING.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "server/smtp/client_dialogue.h"
#include "tests/unit/smtp/dialogue_driver.h"

namespace postern::smtp {
namespace {

using mail::SmtpStage;
using ::testing::ElementsAre;

TEST(ClientDialogueLossTest, SendsALoneDotWhen354ComesForNobody) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  const Transaction t = To({"r@b.example"});
  d.Begin(t);
  EXPECT_EQ(d.Peer({"250 ok", "550 no", "354 go"}), ".\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kRead);
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kBody);
}

TEST(ClientDialogueLossTest, ResetsAnOpenTransactionBeforeTheNext) {
  for (const bool pipelining : {false, true}) {
    DialogueDriver d;
    d.Handshake(pipelining ? std::vector<std::string>{"PIPELINING"} : std::vector<std::string>{});
    const Transaction t = To({"r@b.example"});
    d.Begin(t);
    d.Peer(pipelining ? std::vector<std::string>{"250 ok", "550 no", "503 no"}
                      : std::vector<std::string>{"250 ok"});
    if (!pipelining) d.Peer({"550 no"});
    d.dialogue.TakeResult();
    const std::string sent = d.Begin(t);
    EXPECT_EQ(d.dialogue.stage(), SmtpStage::kRset);
    EXPECT_EQ(sent, pipelining ? "RSET\r\nMAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\n"
                                 "DATA\r\n"
                               : "RSET\r\n");
    EXPECT_EQ(d.Peer({"250 reset"}), pipelining ? "" : "MAIL FROM:<s@a.example>\r\n");
    EXPECT_EQ(d.dialogue.stage(), SmtpStage::kMail);
  }
}

TEST(ClientDialogueLossTest, LeavesTheTransactionToAnotherSessionWhenRsetIsRefused) {
  for (const char* reply : {"503 bad sequence", "421 bye"}) {
    DialogueDriver d;
    d.Handshake({"PIPELINING"});
    const Transaction t = To({"r@b.example"});
    d.Begin(t);
    d.Peer({"250 ok", "550 no", "503 no"});
    d.dialogue.TakeResult();
    d.Begin(t);
    d.Peer({reply, "250 ok", "250 ok", "354 go"});
    ASSERT_EQ(d.dialogue.want(), Want::kTransactionDone);
    const TransactionResult& result = d.dialogue.TakeResult();
    EXPECT_EQ(result.stage, SmtpStage::kRset);
    EXPECT_TRUE(result.session_over);
    EXPECT_EQ(result.mail, nullptr);
    EXPECT_THAT(Codes(result.recipients), ElementsAre(0));
    EXPECT_FALSE(result.in_doubt);
  }
}

TEST(ClientDialogueLossTest, TellsOfALossByWhereItHappened) {
  const Transaction t = To({"r@b.example"});
  const std::vector<std::vector<std::string>> before = {
      {}, {"250 ok"}, {"250 ok", "250 ok"}, {"250 ok", "250 ok", "354 go"}};
  const SmtpStage stages[] = {SmtpStage::kMail, SmtpStage::kRcpt, SmtpStage::kData,
                              SmtpStage::kBody};
  for (std::size_t i = 0; i < before.size(); ++i) {
    DialogueDriver d;
    d.Handshake({"PIPELINING"});
    d.Begin(t);
    d.Peer(before[i]);
    d.dialogue.ConnectionLost();
    ASSERT_EQ(d.dialogue.want(), Want::kTransactionDone);
    const TransactionResult& result = d.dialogue.TakeResult();
    EXPECT_EQ(result.stage, stages[i]);
    EXPECT_TRUE(result.session_over);
    EXPECT_FALSE(result.in_doubt);
    EXPECT_EQ(d.dialogue.want(), Want::kOver);
  }
}

TEST(ClientDialogueLossTest, IsInDoubtOnlyOnceTheWholeDotIsWritten) {
  const Transaction t = To({"r@b.example"});
  for (const std::size_t unwritten : {std::size_t{0}, std::size_t{1}, std::size_t{5}}) {
    DialogueDriver d;
    d.Handshake({"PIPELINING"});
    d.Begin(t);
    d.Peer({"250 ok", "250 ok", "354 go"});
    d.dialogue.AppendContent("content\r\n");
    d.dialogue.FinishContent();
    EXPECT_EQ(d.dialogue.want(), Want::kWrite);
    d.dialogue.Written(d.dialogue.output().size() - unwritten);
    d.dialogue.ConnectionLost();
    const TransactionResult& result = d.dialogue.TakeResult();
    EXPECT_EQ(result.stage, SmtpStage::kBody);
    EXPECT_EQ(result.in_doubt, unwritten == 0) << unwritten;
  }
}

TEST(ClientDialogueLossTest, SendsContentInChunks) {
  DialogueDriver d;
  d.Handshake({});
  const Transaction t = To({"r@b.example"});
  d.Begin(t);
  for (const char* reply : {"250 ok", "250 ok", "354 go"}) d.Peer({reply});
  d.dialogue.AppendContent("a\r");
  EXPECT_EQ(d.dialogue.want(), Want::kWrite);
  EXPECT_EQ(d.Sent(), "a\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kSendContent);
  d.dialogue.AppendContent("\n.b");
  EXPECT_EQ(d.Sent(), "..b");
  d.dialogue.FinishContent();
  EXPECT_EQ(d.Sent(), "\r\n.\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kRead);
}

TEST(ClientDialogueLossTest, TakesARefusalThatComesBeforeTheContentIsSent) {
  for (const char* reply : {"552 5.3.4 too big", "421 bye"}) {
    DialogueDriver d;
    d.Handshake({"PIPELINING"});
    const Transaction t = To({"r@b.example"});
    d.Begin(t);
    d.Peer({"250 ok", "250 ok", "354 go"});
    d.dialogue.AppendContent("beginning");
    d.dialogue.Feed(absl::StrCat(reply, "\r\n"));
    ASSERT_EQ(d.dialogue.want(), Want::kTransactionDone);
    const TransactionResult& result = d.dialogue.TakeResult();
    EXPECT_EQ(Code(result.body) / 100, reply[0] - '0');
    EXPECT_TRUE(result.session_over);
    EXPECT_FALSE(result.in_doubt);
  }
}

TEST(ClientDialogueLossTest, DoesNotTakeAnAcceptanceThatComesBeforeTheDot) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  const Transaction t = To({"r@b.example"});
  d.Begin(t);
  d.Peer({"250 ok", "250 ok", "354 go", "250 queued"});
  const TransactionResult& result = d.dialogue.TakeResult();
  EXPECT_EQ(result.body, nullptr);
  EXPECT_TRUE(result.session_over);
  EXPECT_FALSE(result.in_doubt);
}

TEST(ClientDialogueLossTest, KeepsTheDeliveryWhen421FollowsIt) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  const Transaction t = To({"r@b.example"});
  d.Begin(t);
  d.Peer({"250 ok", "250 ok", "354 go"});
  d.Content("x");
  d.Peer({"250 queued", "421 enough for this session"});
  ASSERT_EQ(d.dialogue.want(), Want::kTransactionDone);
  const TransactionResult& result = d.dialogue.TakeResult();
  EXPECT_EQ(Code(result.body), 250);
  EXPECT_TRUE(result.session_over);
  EXPECT_FALSE(result.in_doubt);
  EXPECT_EQ(Code(d.dialogue.closing_reply()), 421);
  EXPECT_EQ(d.dialogue.want(), Want::kOver);
}

TEST(ClientDialogueLossTest, BoundsTheCommandsWithoutReply) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  const Transaction t = To(std::vector<absl::string_view>(1000, "r@b.example"));
  std::string sent = d.Begin(t);
  const auto lines = [&sent] { return std::count(sent.begin(), sent.end(), '\n'); };
  EXPECT_EQ(lines(), 256);
  std::string replies;
  for (int i = 0; i < 256; ++i) absl::StrAppend(&replies, "250 ok\r\n");
  for (int i = 0; i < 4; ++i) {
    d.dialogue.Feed(absl::string_view(replies).substr(0, i < 3 ? replies.size() : 233 * 8));
    sent += d.Sent();
  }
  EXPECT_EQ(lines(), 1002);
  EXPECT_TRUE(absl::EndsWith(sent, "DATA\r\n"));
  d.Peer({"354 go"});
  EXPECT_EQ(d.dialogue.want(), Want::kSendContent);
}

TEST(ClientDialogueLossTest, SharesEqualRepliesAndKeepsDifferentOnesApart) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  const Transaction t = To({"a@b.example", "b@b.example", "c@b.example"});
  d.Begin(t);
  d.Peer({"250 2.1.0 ok", "250 2.1.5 ok", "250 2.1.5 ok", "250 2.1.5 okay", "354 go"});
  d.Content("x");
  d.Peer({"250 ok"});
  const TransactionResult& result = d.dialogue.TakeResult();
  EXPECT_EQ(result.recipients[0], result.recipients[1]);
  EXPECT_EQ(result.recipients[2]->text, "okay");
  EXPECT_EQ(result.recipients[0]->text, "ok");
  EXPECT_EQ(result.mail->enhanced, "2.1.0");
}

TEST(ClientDialogueLossTest, GoesTheSameWayForEverySplitOfTheReplies) {
  const std::string replies = "250-ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n";
  for (std::size_t at = 0; at <= replies.size(); ++at) {
    DialogueDriver d;
    d.Handshake({"PIPELINING"});
    const Transaction t = To({"a@b.example", "b@b.example"});
    d.Begin(t);
    d.dialogue.Feed(absl::string_view(replies).substr(0, at));
    d.dialogue.Feed(absl::string_view(replies).substr(at));
    ASSERT_EQ(d.dialogue.want(), Want::kSendContent) << at;
    d.Content("x");
    d.Peer({"250 ok"});
    EXPECT_THAT(Codes(d.dialogue.TakeResult().recipients), ElementsAre(550, 250)) << at;
  }
}

}  // namespace
}  // namespace postern::smtp

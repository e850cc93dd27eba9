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

TEST(ClientDialogueTransactionTest, GoesOneByOneWithoutPipelining) {
  DialogueDriver d;
  d.Handshake({});
  const Transaction t = To({"r@b.example", "q@b.example"});
  EXPECT_EQ(d.Begin(t), "MAIL FROM:<s@a.example>\r\n");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kMail);
  EXPECT_EQ(d.Peer({"250 ok"}), "RCPT TO:<r@b.example>\r\n");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kRcpt);
  EXPECT_EQ(d.Peer({"250 ok"}), "RCPT TO:<q@b.example>\r\n");
  EXPECT_EQ(d.Peer({"550 5.1.1 no"}), "DATA\r\n");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kData);
  EXPECT_EQ(d.Peer({"354 go"}), "");
  EXPECT_EQ(d.dialogue.want(), Want::kSendContent);
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kBody);
  EXPECT_EQ(d.Content(".x\n"), "..x\r\n.\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kRead);
  d.Peer({"250 2.0.0 queued as 1"});
  ASSERT_EQ(d.dialogue.want(), Want::kTransactionDone);
  const TransactionResult& result = d.dialogue.TakeResult();
  EXPECT_THAT(Codes(result.recipients), ElementsAre(250, 550));
  EXPECT_EQ(result.recipients[1]->stage, SmtpStage::kRcpt);
  EXPECT_EQ(result.mail->stage, SmtpStage::kMail);
  EXPECT_EQ(result.data->stage, SmtpStage::kData);
  EXPECT_EQ(*result.body, (mail::Reply{250, "2.0.0", "queued as 1", SmtpStage::kBody}));
  EXPECT_EQ(result.stage, SmtpStage::kBody);
  EXPECT_FALSE(result.session_over);
  EXPECT_FALSE(result.in_doubt);
  EXPECT_EQ(d.dialogue.want(), Want::kReady);
  EXPECT_EQ(d.dialogue.mails_sent(), 1);
}

TEST(ClientDialogueTransactionTest, GoesInOneWriteWithPipelining) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  const Transaction t = To({"r@b.example", "q@b.example"});
  EXPECT_EQ(
      d.Begin(t),
      "MAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\nRCPT TO:<q@b.example>\r\nDATA\r\n");
  EXPECT_EQ(d.Peer({"250 ok"}), "");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kRcpt);
  EXPECT_EQ(d.Peer({"450 later", "251 forwards", "354 go"}), "");
  ASSERT_EQ(d.dialogue.want(), Want::kSendContent);
  EXPECT_EQ(d.Content("x"), "x\r\n.\r\n");
  d.Peer({"250 ok"});
  const TransactionResult& result = d.dialogue.TakeResult();
  EXPECT_THAT(Codes(result.recipients), ElementsAre(450, 251));
  EXPECT_EQ(Code(result.body), 250);
}

// A reply of nearly 60 KiB, as lines without their ends.
std::vector<std::string> Wordy(const std::string& code) {
  std::vector<std::string> lines(39, code + "-" + std::string(1500, 'x'));
  lines.push_back(code + " end");
  return lines;
}

void ExpectCut(const ReplyPtr& reply, int code) {
  ASSERT_EQ(Code(reply), code);
  EXPECT_LE(reply->text.size(), mail::kMaxKeptTextBytes);
  EXPECT_TRUE(absl::EndsWith(reply->text, "x [...]"));
}

TEST(ClientDialogueTransactionTest, OfALongReplyLittleIsKeptWhateverItAnswers) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  const Transaction t = To({"r@b.example", "q@b.example", "p@b.example"});
  d.Begin(t);
  d.Peer(Wordy("250"));
  d.Peer({"250 ok"});
  d.Peer(Wordy("550"));
  d.Peer(Wordy("550"));
  d.Peer(Wordy("354"));
  d.Content("x");
  d.Peer(Wordy("451"));
  const TransactionResult& result = d.dialogue.TakeResult();
  ExpectCut(result.mail, 250);
  ExpectCut(result.recipients[1], 550);
  EXPECT_EQ(result.recipients[1], result.recipients[2]) << "equal replies are one object";
  ExpectCut(result.data, 354);
  ExpectCut(result.body, 451);
  EXPECT_EQ(result.body->stage, SmtpStage::kBody);
}

TEST(ClientDialogueTransactionTest, SendsAnotherTransactionOnTheSameSession) {
  DialogueDriver d;
  d.Handshake({"PIPELINING"});
  for (const char* body : {"250 ok", "451 4.3.0 no", "550 5.7.1 spam"}) {
    const Transaction t = To({"r@b.example"});
    EXPECT_TRUE(absl::StartsWith(d.Begin(t), "MAIL"));  // no RSET: the dot cleared the buffers
    d.Peer({"250 ok", "250 ok", "354 go"});
    d.Content("x");
    d.Peer({body});
    const TransactionResult& result = d.dialogue.TakeResult();
    EXPECT_EQ(result.stage, SmtpStage::kBody);
    EXPECT_EQ(Code(result.body) / 100, body[0] - '0');
    EXPECT_FALSE(result.session_over);
  }
  EXPECT_EQ(d.dialogue.mails_sent(), 3);
}

TEST(ClientDialogueTransactionTest, SendsParametersOnlyForWhatIsOffered) {
  Transaction t = To({"r@b.example"});
  t.eight_bit = true;
  {
    DialogueDriver d;
    d.Handshake({});
    EXPECT_FALSE(d.dialogue.CanSend(t).has_value());
    EXPECT_EQ(d.Begin(t), "MAIL FROM:<s@a.example>\r\n");
  }
  DialogueDriver d;
  d.Handshake({"SIZE", "8BITMIME", "SMTPUTF8"});
  EXPECT_EQ(d.Begin(t), "MAIL FROM:<s@a.example> SIZE=5 BODY=8BITMIME\r\n");
  d.Peer({"550 no"});
  d.dialogue.TakeResult();
  t.sender = "";
  t.eight_bit = false;
  EXPECT_EQ(d.Begin(t), "MAIL FROM:<> SIZE=5\r\n");
  d.Peer({"550 no"});
  d.dialogue.TakeResult();
  t.smtp_utf8 = true;
  EXPECT_EQ(d.Begin(t), "MAIL FROM:<> SIZE=5 SMTPUTF8\r\n");
  d.Peer({"550 no"});
  d.dialogue.TakeResult();
  t = To({"gr\xC3\xBC@b.example"});
  EXPECT_EQ(d.Begin(t), "MAIL FROM:<s@a.example> SIZE=5 SMTPUTF8\r\n");
}

struct Case {
  const char* name;
  bool pipelining;
  std::vector<std::string> peer;  // turns; when content is wanted it is sent at once
  std::vector<int> recipients;    // codes, 0: none
  int mail, data, body;
  SmtpStage stage;
  bool over;
  bool in_doubt;
  bool rset_next;  // the next transaction begins with RSET
};

const Case kCases[] = {
    {"mail refused", false, {"550 no"}, {0, 0}, 550, 0, 0, SmtpStage::kMail, false, false, false},
    {"mail refused, pipelined",
     true,
     {"550 no", "503 a", "503 b", "503 c"},
     {0, 0},
     550,
     0,
     0,
     SmtpStage::kMail,
     false,
     false,
     false},
    {"mail refused, the rest accepted",
     true,
     {"450 no", "250 a", "250 b", "354 c", "250 d"},
     {0, 0},
     450,
     0,
     0,
     SmtpStage::kMail,
     false,
     false,
     false},
    {"all refused",
     false,
     {"250 ok", "550 a", "450 b"},
     {550, 450},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     false,
     false,
     true},
    {"all refused, pipelined",
     true,
     {"250 ok", "550 a", "450 b", "503 c"},
     {550, 450},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     false,
     false,
     true},
    {"all refused, 354 came",
     true,
     {"250 ok", "550 a", "550 b", "354 go", "250 queued"},
     {550, 550},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     false,
     false,
     true},
    {"all refused, 354 came, dot refused",
     true,
     {"250 ok", "550 a", "550 b", "354 go", "554 no valid recipients"},
     {550, 550},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     false,
     false,
     true},
    {"all refused, 421 at the lone dot",
     true,
     {"250 ok", "550 a", "550 b", "354 go", "421 bye"},
     {550, 550},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     true,
     false,
     false},
    {"data refused",
     false,
     {"250 ok", "250 a", "250 b", "451 no"},
     {250, 250},
     250,
     451,
     0,
     SmtpStage::kData,
     false,
     false,
     true},
    {"data refused, pipelined",
     true,
     {"250 ok", "250 a", "550 b", "554 no"},
     {250, 550},
     250,
     554,
     0,
     SmtpStage::kData,
     false,
     false,
     true},
    {"252 and 299 are accepted",
     true,
     {"299 ok", "252 a", "550 b", "399 go", "299 done"},
     {252, 550},
     299,
     399,
     299,
     SmtpStage::kBody,
     false,
     false,
     false},
    {"421 at mail", false, {"421 bye"}, {0, 0}, 421, 0, 0, SmtpStage::kMail, true, false, false},
    {"421 at mail, pipelined",
     true,
     {"421 bye"},
     {0, 0},
     421,
     0,
     0,
     SmtpStage::kMail,
     true,
     false,
     false},
    {"421 at rcpt",
     false,
     {"250 ok", "250 a", "421 bye"},
     {250, 421},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     true,
     false,
     false},
    {"421 at rcpt, pipelined",
     true,
     {"250 ok", "421 bye"},
     {421, 0},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     true,
     false,
     false},
    {"421 at data",
     false,
     {"250 ok", "250 a", "250 b", "421 bye"},
     {250, 250},
     250,
     421,
     0,
     SmtpStage::kData,
     true,
     false,
     false},
    {"421 at data, pipelined",
     true,
     {"250 ok", "250 a", "250 b", "421 bye"},
     {250, 250},
     250,
     421,
     0,
     SmtpStage::kData,
     true,
     false,
     false},
    {"421 at the dot",
     true,
     {"250 ok", "250 a", "250 b", "354 go", "421 bye"},
     {250, 250},
     250,
     354,
     421,
     SmtpStage::kBody,
     true,
     false,
     false},
    {"rubbish at mail", true, {"rubbish"}, {0, 0}, 0, 0, 0, SmtpStage::kMail, true, false, false},
    {"3yz at rcpt",
     true,
     {"250 ok", "354 what"},
     {0, 0},
     250,
     0,
     0,
     SmtpStage::kRcpt,
     true,
     false,
     false},
    {"2yz at data",
     true,
     {"250 ok", "250 a", "250 b", "250 what"},
     {250, 250},
     250,
     0,
     0,
     SmtpStage::kData,
     true,
     false,
     false},
    {"rubbish at the dot",
     true,
     {"250 ok", "250 a", "250 b", "354 go", "rubbish"},
     {250, 250},
     250,
     354,
     0,
     SmtpStage::kBody,
     true,
     true,
     false},
    {"3yz at the dot",
     true,
     {"250 ok", "250 a", "250 b", "354 go", "354 go"},
     {250, 250},
     250,
     354,
     0,
     SmtpStage::kBody,
     true,
     true,
     false},
};

TEST(ClientDialogueTransactionTest, EndsAsTheRepliesSay) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    DialogueDriver d;
    d.Handshake(c.pipelining ? std::vector<std::string>{"PIPELINING"} : std::vector<std::string>{});
    const Transaction t = To({"r@b.example", "q@b.example"});
    d.Begin(t);
    for (const std::string& turn : c.peer) {
      ASSERT_EQ(d.dialogue.want(), Want::kRead) << turn;
      d.Peer({turn});
      if (d.dialogue.want() == Want::kSendContent) d.Content("x");
    }
    ASSERT_EQ(d.dialogue.want(), Want::kTransactionDone);
    const TransactionResult& result = d.dialogue.TakeResult();
    EXPECT_EQ(Codes(result.recipients), c.recipients);
    EXPECT_EQ(Code(result.mail), c.mail);
    EXPECT_EQ(Code(result.data), c.data);
    EXPECT_EQ(Code(result.body), c.body);
    EXPECT_EQ(result.stage, c.stage) << mail::Name(result.stage).data();
    EXPECT_EQ(result.session_over, c.over);
    EXPECT_EQ(result.in_doubt, c.in_doubt);
    EXPECT_EQ(d.dialogue.want(), c.over ? Want::kOver : Want::kReady);
    const bool closed_by_421 = c.over && absl::StartsWith(c.peer.back(), "421");
    EXPECT_EQ(Code(d.dialogue.closing_reply()), closed_by_421 ? 421 : 0);
    EXPECT_EQ(d.dialogue.protocol_error().ok(), !c.over || closed_by_421);
    if (!c.over) {
      EXPECT_EQ(absl::StartsWith(d.Begin(t), "RSET\r\n"), c.rset_next);
    }
  }
}

// The same table with all replies in one piece, as far as the dialogue may read on.
TEST(ClientDialogueTransactionTest, EndsTheSameWhenPipelinedRepliesComeTogether) {
  for (const Case& c : kCases) {
    if (!c.pipelining) continue;
    SCOPED_TRACE(c.name);
    DialogueDriver d;
    d.Handshake({"PIPELINING"});
    const Transaction t = To({"r@b.example", "q@b.example"});
    d.Begin(t);
    const auto turn = c.peer.begin() + std::min<std::ptrdiff_t>(4, std::ssize(c.peer));
    d.Peer({c.peer.begin(), turn});
    if (d.dialogue.want() == Want::kSendContent) d.Content("x");
    if (turn != c.peer.end()) d.Peer({turn, c.peer.end()});
    ASSERT_EQ(d.dialogue.want(), Want::kTransactionDone);
    const TransactionResult& result = d.dialogue.TakeResult();
    EXPECT_EQ(Codes(result.recipients), c.recipients);
    EXPECT_EQ(result.stage, c.stage);
    EXPECT_EQ(result.session_over, c.over);
  }
}

}  // namespace
}  // namespace postern::smtp

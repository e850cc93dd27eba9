// Greeting, EHLO, QUIT, and what a peer may say out of turn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/smtp/client_dialogue.h"
#include "tests/unit/smtp/dialogue_driver.h"

namespace postern::smtp {
namespace {

using mail::SmtpStage;

TEST(ClientDialogueSessionTest, GreetsWithEhloAndIsReady) {
  DialogueDriver d;
  EXPECT_EQ(d.dialogue.want(), Want::kRead);
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kGreeting);
  d.dialogue.Feed("220-mx\r\n220 hello\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kWrite);
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kEhlo);
  EXPECT_EQ(d.Sent(), "EHLO client.example\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kRead);
  d.Peer({"250-mx", "250-PIPELINING", "250 LIMITS RCPTMAX=3"});
  EXPECT_EQ(d.dialogue.want(), Want::kReady);
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kNone);
  EXPECT_TRUE(d.dialogue.capabilities().pipelining);
  EXPECT_EQ(d.dialogue.capabilities().RecipientLimit(100), 3);
}

TEST(ClientDialogueSessionTest, FallsBackToHeloWhenEhloIsRefusedForGood) {
  DialogueDriver d;
  d.Peer({"220 mx"});
  EXPECT_EQ(d.Peer({"502 what?"}), "HELO client.example\r\n");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kHelo);
  d.Peer({"250-mx", "250 PIPELINING"});
  EXPECT_EQ(d.dialogue.want(), Want::kReady);
  EXPECT_FALSE(d.dialogue.capabilities().esmtp);
  EXPECT_FALSE(d.dialogue.capabilities().pipelining);
}

struct Refusal {
  std::vector<std::string> peer;  // one turn each
  int code;
  SmtpStage stage;
  bool quits;
};

TEST(ClientDialogueSessionTest, IsOverWhenTheHandshakeIsRefused) {
  const std::vector<Refusal> cases = {
      {{"554 no"}, 554, SmtpStage::kGreeting, true},
      {{"450 later"}, 450, SmtpStage::kGreeting, true},
      {{"421 busy"}, 421, SmtpStage::kGreeting, false},
      {{"220 mx", "450 later"}, 450, SmtpStage::kEhlo, true},
      {{"220 mx", "421 busy"}, 421, SmtpStage::kEhlo, false},
      {{"220 mx", "500 ?", "550 no"}, 550, SmtpStage::kHelo, true},
      {{"220 mx", "500 ?", "421 busy"}, 421, SmtpStage::kHelo, false},
  };
  for (const Refusal& c : cases) {
    DialogueDriver d;
    for (const std::string& line : c.peer) d.Peer({line});
    EXPECT_EQ(d.dialogue.want(), Want::kOver) << c.code;
    ASSERT_NE(d.dialogue.closing_reply(), nullptr);
    EXPECT_EQ(d.dialogue.closing_reply()->code, c.code);
    EXPECT_EQ(d.dialogue.closing_reply()->stage, c.stage);
    EXPECT_TRUE(d.dialogue.protocol_error().ok());
    d.dialogue.Quit();
    EXPECT_EQ(d.Sent(), c.quits ? "QUIT\r\n" : "") << c.code;
    EXPECT_EQ(d.dialogue.want(), c.quits ? Want::kRead : Want::kOver);
    d.Peer({"221 bye"});
    EXPECT_EQ(d.dialogue.want(), Want::kOver);
  }
}

TEST(ClientDialogueSessionTest, OfALongReplyThatEndsTheSessionLittleIsKept) {
  const std::vector<std::string> wordy(40, "421-" + std::string(1500, 'x'));
  for (const int handshake : {0, 1}) {
    DialogueDriver d;
    if (handshake == 1) d.Handshake({});
    d.Peer(wordy);
    d.Peer({"421 bye"});
    ASSERT_NE(d.dialogue.closing_reply(), nullptr);
    EXPECT_LE(d.dialogue.closing_reply()->text.size(), mail::kMaxKeptTextBytes);
    EXPECT_EQ(d.dialogue.closing_reply()->stage,
              handshake == 1 ? SmtpStage::kNone : SmtpStage::kGreeting);
  }
}

TEST(ClientDialogueSessionTest, QuitsAndTakesAnyReplyForAnEnd) {
  for (const char* reply : {"221 bye", "500 what", "354 eh", "rubbish"}) {
    DialogueDriver d;
    d.Handshake({});
    d.dialogue.Quit();
    EXPECT_EQ(d.Sent(), "QUIT\r\n");
    EXPECT_EQ(d.dialogue.stage(), SmtpStage::kQuit);
    EXPECT_EQ(d.dialogue.want(), Want::kRead);
    d.Peer({reply});
    EXPECT_EQ(d.dialogue.want(), Want::kOver) << reply;
  }
}

TEST(ClientDialogueSessionTest, IsOverOn421WhileIdle) {
  DialogueDriver d;
  d.Handshake({});
  d.Peer({"421 4.4.2 timeout"});
  EXPECT_EQ(d.dialogue.want(), Want::kOver);
  EXPECT_EQ(Code(d.dialogue.closing_reply()), 421);
  d.dialogue.Quit();
  EXPECT_EQ(d.Sent(), "");
}

TEST(ClientDialogueSessionTest, IsOverOnWhatIsNoReplyToAnything) {
  const std::vector<std::vector<std::string>> scripts = {
      {"SSH-2.0-OpenSSH"},
      {"354 go on"},
      {"220 mx", "354 go on"},
      {"220 mx", "250-a", "251 b"},
      {"220 mx", "250 ok", "250 again"},
  };
  for (const std::vector<std::string>& script : scripts) {
    DialogueDriver d;
    for (const std::string& line : script) d.Peer({line});
    EXPECT_EQ(d.dialogue.want(), Want::kOver) << script.back();
    EXPECT_FALSE(d.dialogue.protocol_error().ok()) << script.back();
    EXPECT_EQ(d.dialogue.closing_reply(), nullptr);
    d.dialogue.Quit();
    EXPECT_EQ(d.Sent(), "");
  }
}

TEST(ClientDialogueSessionTest, DoesNotTakeAReplyThatCameBeforeTheCommand) {
  DialogueDriver d;
  d.dialogue.Feed("220 mx\r\n250 PIPELINING\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kOver);
  EXPECT_FALSE(d.dialogue.protocol_error().ok());
}

TEST(ClientDialogueSessionTest, IsOverWhenTheConnectionIsLost) {
  DialogueDriver d;
  d.Peer({"220 mx"});
  d.dialogue.ConnectionLost();
  EXPECT_EQ(d.dialogue.want(), Want::kOver);
  EXPECT_EQ(d.dialogue.output(), "");
  d.dialogue.Feed("250 mx\r\n");
  EXPECT_EQ(d.dialogue.want(), Want::kOver);
  d.dialogue.Quit();
  EXPECT_EQ(d.dialogue.want(), Want::kOver);
}

TEST(ClientDialogueSessionTest, SaysWhichTransactionCannotBeSentHere) {
  DialogueDriver d;
  d.Handshake({"SIZE 1000"});
  Transaction t = To({"r@b.example"});
  EXPECT_FALSE(d.dialogue.CanSend(t).has_value());
  t.content_bytes = 1000;
  EXPECT_FALSE(d.dialogue.CanSend(t).has_value());
  t.content_bytes = 1001;
  EXPECT_EQ(d.dialogue.CanSend(t)->code, 552);
  EXPECT_EQ(d.dialogue.CanSend(t)->enhanced, "5.3.4");
  t.content_bytes = 1;
  t.smtp_utf8 = true;
  EXPECT_EQ(d.dialogue.CanSend(t)->code, 550);
  EXPECT_EQ(d.dialogue.CanSend(t)->enhanced, "5.6.7");
  EXPECT_EQ(d.dialogue.CanSend(To({"r@b.example", "gr\xC3\xBC@b.example"}))->enhanced, "5.6.7");
  EXPECT_EQ(d.dialogue.CanSend(To({"r@b.example>\r\nRCPT TO:<x"}))->enhanced, "5.1.3");
  EXPECT_EQ(d.dialogue.CanSend(To({""}))->enhanced, "5.1.3");
  t = To({"r@b.example"});
  t.sender = "a\nb";
  EXPECT_EQ(d.dialogue.CanSend(t)->enhanced, "5.1.7");
}

}  // namespace
}  // namespace postern::smtp

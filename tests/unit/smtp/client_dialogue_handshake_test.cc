// STARTTLS (RFC 3207) and AUTH (RFC 4954), from the client's side.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/smtp/client_dialogue.h"
#include "tests/unit/smtp/dialogue_driver.h"

namespace postern::smtp {
namespace {

using mail::SmtpStage;
using StartTls = HandshakePlan::StartTls;

HandshakePlan Plan(StartTls starttls, const mail::Credentials* credentials = nullptr) {
  HandshakePlan plan;
  plan.starttls = starttls;
  plan.credentials = credentials;
  return plan;
}

const mail::Credentials kUser{"user", "pass"};

TEST(StartTlsTest, AsksForItWhereItIsOfferedAndSaysEhloAgain) {
  DialogueDriver d(Plan(StartTls::kIfOffered));
  d.Peer({"220 mx"});
  EXPECT_EQ(d.Peer({"250-mx", "250-PIPELINING", "250-SIZE 10", "250 STARTTLS"}), "STARTTLS\r\n");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kStartTls);
  EXPECT_EQ(d.dialogue.want(), Want::kRead);
  EXPECT_EQ(d.Peer({"220 go ahead"}), "");
  EXPECT_EQ(d.dialogue.want(), Want::kTls);
  d.dialogue.TlsEstablished(true);
  // Nothing of what was said in the clear counts.
  EXPECT_FALSE(d.dialogue.capabilities().pipelining);
  EXPECT_EQ(d.dialogue.capabilities().max_message_bytes, 0u);
  EXPECT_TRUE(d.dialogue.capabilities().lines.empty());
  EXPECT_EQ(d.Sent(), "EHLO client.example\r\n");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kEhlo);
  d.Peer({"250-mx", "250-STARTTLS", "250 8BITMIME"});  // offered again: not asked for again
  EXPECT_EQ(d.dialogue.want(), Want::kReady);
  EXPECT_TRUE(d.dialogue.capabilities().eight_bit_mime);
}

TEST(StartTlsTest, DoesNotAskWhereItIsNotWantedOrNotOffered) {
  DialogueDriver unwanted(Plan(StartTls::kNever));
  unwanted.Peer({"220 mx"});
  EXPECT_EQ(unwanted.Peer({"250-mx", "250 STARTTLS"}), "");
  EXPECT_EQ(unwanted.dialogue.want(), Want::kReady);
  DialogueDriver not_offered(Plan(StartTls::kIfOffered));
  not_offered.Peer({"220 mx"});
  EXPECT_EQ(not_offered.Peer({"250-mx", "250 SIZE"}), "");
  EXPECT_EQ(not_offered.dialogue.want(), Want::kReady);
}

TEST(StartTlsTest, GoesOnInPlaintextWhenItIsRefused) {
  DialogueDriver d(Plan(StartTls::kIfOffered));
  d.Peer({"220 mx"});
  d.Peer({"250-mx", "250 STARTTLS"});
  d.Peer({"454 not now"});
  EXPECT_EQ(d.dialogue.want(), Want::kReady);
}

TEST(StartTlsTest, EndsTheSessionWhereItIsRequired) {
  DialogueDriver not_offered(Plan(StartTls::kRequired));
  not_offered.Peer({"220 mx"});
  not_offered.Peer({"250-mx", "250 SIZE"});
  EXPECT_EQ(not_offered.dialogue.want(), Want::kOver);
  ASSERT_EQ(Code(not_offered.dialogue.closing_reply()), 451);
  EXPECT_EQ(not_offered.dialogue.closing_reply()->stage, SmtpStage::kStartTls);
  not_offered.dialogue.Quit();
  EXPECT_EQ(not_offered.Sent(), "QUIT\r\n");

  DialogueDriver helo(Plan(StartTls::kRequired));
  helo.Peer({"220 mx"});
  helo.Peer({"502 what?"});
  helo.Peer({"250 mx"});
  EXPECT_EQ(Code(helo.dialogue.closing_reply()), 451);

  DialogueDriver refused(Plan(StartTls::kRequired));
  refused.Peer({"220 mx"});
  refused.Peer({"250-mx", "250 STARTTLS"});
  refused.Peer({"454 not now"});
  EXPECT_EQ(refused.dialogue.want(), Want::kOver);
  EXPECT_EQ(Code(refused.dialogue.closing_reply()), 454);
}

TEST(StartTlsTest, TakesNothingBehindTheReply) {
  for (const char* injected : {"x", "\n", "250 injected\r\n", "250-inj"}) {
    DialogueDriver d(Plan(StartTls::kIfOffered));
    d.Peer({"220 mx"});
    d.Peer({"250-mx", "250 STARTTLS"});
    d.dialogue.Feed(std::string("220 go ahead\r\n") + injected);
    EXPECT_EQ(d.dialogue.want(), Want::kOver) << injected;
    EXPECT_FALSE(d.dialogue.protocol_error().ok());
  }
}

TEST(StartTlsTest, TakesNothingBeforeTheHandshakeEither) {
  DialogueDriver d(Plan(StartTls::kIfOffered));
  d.Peer({"220 mx"});
  d.Peer({"250-mx", "250 STARTTLS"});
  d.Peer({"220 go ahead"});
  d.dialogue.Feed("250 injected\r\n");
  EXPECT_FALSE(d.dialogue.protocol_error().ok());
}

TEST(StartTlsTest, IsDoneWithAReplyThatCameBeforeTheCommand) {
  DialogueDriver d(Plan(StartTls::kIfOffered));
  d.Peer({"220 mx"});
  // Whoever sends it along with the answer to EHLO has not read STARTTLS.
  d.dialogue.Feed("250-mx\r\n250 STARTTLS\r\n220 go ahead\r\n");
  EXPECT_FALSE(d.dialogue.protocol_error().ok());
}

void Secure(DialogueDriver& d, bool verified, const std::string& auth) {
  d.Peer({"220 mx"});
  d.Peer({"250-mx", "250-AUTH PLAIN LOGIN", "250 STARTTLS"});
  d.Peer({"220 go ahead"});
  d.dialogue.TlsEstablished(verified);
  d.Sent();
  d.dialogue.Feed("250-mx\r\n250 " + auth + "\r\n");
}

TEST(AuthTest, Plain) {
  DialogueDriver d(Plan(StartTls::kRequired, &kUser));
  Secure(d, true, "AUTH LOGIN PLAIN");
  EXPECT_EQ(d.Sent(), "AUTH PLAIN AHVzZXIAcGFzcw==\r\n");
  EXPECT_EQ(d.dialogue.stage(), SmtpStage::kAuth);
  d.Peer({"235 welcome"});
  EXPECT_EQ(d.dialogue.want(), Want::kReady);
}

TEST(AuthTest, Login) {
  DialogueDriver d(Plan(StartTls::kRequired, &kUser));
  Secure(d, true, "AUTH LOGIN");
  EXPECT_EQ(d.Sent(), "AUTH LOGIN\r\n");
  EXPECT_EQ(d.Peer({"334 VXNlcm5hbWU6"}), "dXNlcg==\r\n");
  EXPECT_EQ(d.Peer({"334 UGFzc3dvcmQ6"}), "cGFzcw==\r\n");
  d.Peer({"235 welcome"});
  EXPECT_EQ(d.dialogue.want(), Want::kReady);
}

TEST(AuthTest, IsOverWhenItIsRefused) {
  DialogueDriver d(Plan(StartTls::kRequired, &kUser));
  Secure(d, true, "AUTH PLAIN");
  d.Sent();
  d.Peer({"535 no"});
  EXPECT_EQ(d.dialogue.want(), Want::kOver);
  EXPECT_EQ(Code(d.dialogue.closing_reply()), 535);
  EXPECT_EQ(d.dialogue.closing_reply()->stage, SmtpStage::kAuth);
}

TEST(AuthTest, AsksForNoMoreThanTwoWords) {
  DialogueDriver plain(Plan(StartTls::kRequired, &kUser));
  Secure(plain, true, "AUTH PLAIN");
  plain.Sent();
  plain.Peer({"334 more"});
  EXPECT_FALSE(plain.dialogue.protocol_error().ok());
  DialogueDriver login(Plan(StartTls::kRequired, &kUser));
  Secure(login, true, "AUTH LOGIN");
  login.Sent();
  login.Peer({"334 a"});
  login.Peer({"334 b"});
  login.Peer({"334 c"});
  EXPECT_FALSE(login.dialogue.protocol_error().ok());
}

TEST(AuthTest, NeverWithoutVerifiedTls) {
  DialogueDriver unverified(Plan(StartTls::kRequired, &kUser));
  Secure(unverified, false, "AUTH PLAIN");
  EXPECT_EQ(unverified.Sent(), "");
  EXPECT_EQ(Code(unverified.dialogue.closing_reply()), 451);
  for (const StartTls starttls : {StartTls::kNever, StartTls::kIfOffered}) {
    DialogueDriver clear(Plan(starttls, &kUser));
    clear.Peer({"220 mx"});
    EXPECT_EQ(clear.Peer({"250-mx", "250 AUTH PLAIN"}), "");
    EXPECT_EQ(clear.dialogue.want(), Want::kOver);
  }
}

TEST(AuthTest, NotWithMechanismsThatItDoesNotKnow) {
  DialogueDriver d(Plan(StartTls::kRequired, &kUser));
  Secure(d, true, "AUTH CRAM-MD5");
  EXPECT_EQ(d.Sent(), "");
  EXPECT_EQ(Code(d.dialogue.closing_reply()), 451);
}

}  // namespace
}  // namespace postern::smtp

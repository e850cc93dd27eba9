#include "server/delivery/failure_policy.h"

#include <gtest/gtest.h>

namespace postern::delivery {
namespace {

using mail::Disposition;
using mail::RequeueReason;
using mail::SmtpStage;

smtp::ReplyPtr Say(int code, SmtpStage stage) {
  return std::make_shared<const mail::Reply>(mail::Reply{code, "", "text", stage});
}

// Two recipients; replies of 0 stand for none.
smtp::TransactionResult Result(int mail, int rcpt1, int rcpt2, int data, int body) {
  smtp::TransactionResult result;
  const auto make = [](int code, SmtpStage stage) {
    return code == 0 ? nullptr : Say(code, stage);
  };
  result.mail = make(mail, SmtpStage::kMail);
  result.recipients = {make(rcpt1, SmtpStage::kRcpt), make(rcpt2, SmtpStage::kRcpt)};
  result.data = make(data, SmtpStage::kData);
  result.body = make(body, SmtpStage::kBody);
  result.stage = SmtpStage::kBody;
  return result;
}

const std::vector<std::string> kBoth = {"a@x.example", "b@x.example"};

TEST(FailurePolicyTest, PositiveReplyToTheDotDeliversAllThatWereAccepted) {
  const Judgement judgement = Judge(Result(250, 250, 251, 354, 250), kBoth, {});
  EXPECT_EQ(judgement.disposition, Disposition::kDelivered);
  EXPECT_EQ(judgement.recipients[1].disposition, Disposition::kDelivered);
  EXPECT_EQ(judgement.decisive.code, 250);
}

TEST(FailurePolicyTest, EachRecipientHasItsOwnReply) {
  const Judgement judgement = Judge(Result(250, 550, 450, 354, 250), kBoth, {});
  EXPECT_EQ(judgement.recipients[0].disposition, Disposition::kFailed);
  EXPECT_EQ(judgement.recipients[1].disposition, Disposition::kDeferred);
  EXPECT_EQ(judgement.disposition, Disposition::kDeferred);
  EXPECT_EQ(judgement.decisive.code, 450);
  EXPECT_TRUE(judgement.charge);
}

TEST(FailurePolicyTest, RefusedMailConcernsEveryRecipient) {
  const Judgement judgement = Judge(Result(550, 503, 503, 503, 0), kBoth, {});
  EXPECT_EQ(judgement.disposition, Disposition::kFailed);
  EXPECT_EQ(judgement.recipients[1].reply->code, 550);
}

TEST(FailurePolicyTest, RefusedDataConcernsThoseThatWereAccepted) {
  const Judgement judgement = Judge(Result(250, 250, 550, 451, 0), kBoth, {});
  EXPECT_EQ(judgement.recipients[0].disposition, Disposition::kDeferred);
  EXPECT_EQ(judgement.recipients[1].disposition, Disposition::kFailed);
}

TEST(FailurePolicyTest, PermanentReplyToTheDotFails) {
  EXPECT_EQ(Judge(Result(250, 250, 250, 354, 554), kBoth, {}).disposition, Disposition::kFailed);
}

TEST(FailurePolicyTest, A421AfterADeliveryIsRecyclingAndChargesNothing) {
  SessionFacts facts;
  facts.deliveries = 1;
  const Judgement judgement = Judge(Result(421, 0, 0, 0, 0), kBoth, facts);
  EXPECT_EQ(judgement.reason, RequeueReason::kReply421);
  EXPECT_FALSE(judgement.charge);
  EXPECT_FALSE(judgement.pair_back_off);
}

TEST(FailurePolicyTest, A421BeforeAnyDeliveryBacksThePairOff) {
  const Judgement judgement = Judge(Result(250, 250, 250, 354, 421), kBoth, {});
  EXPECT_FALSE(judgement.charge);
  EXPECT_TRUE(judgement.pair_back_off);
}

TEST(FailurePolicyTest, RecyclingIsChargedWhenItDoesNotEnd) {
  SessionFacts facts;
  facts.deliveries = 1;
  facts.free_requeues = kMaxFreeRequeues;
  EXPECT_TRUE(Judge(Result(421, 0, 0, 0, 0), kBoth, facts).charge);
}

TEST(FailurePolicyTest, LostAfterTheDotIsInDoubtAndCharged) {
  smtp::TransactionResult result = Result(250, 250, 250, 354, 0);
  result.in_doubt = true;
  const Judgement judgement = Judge(result, kBoth, {});
  EXPECT_TRUE(judgement.in_doubt);
  EXPECT_TRUE(judgement.charge);
  EXPECT_EQ(judgement.reason, RequeueReason::kInDoubt);
  EXPECT_EQ(judgement.recipients[0].disposition, Disposition::kDeferred);
}

TEST(FailurePolicyTest, RefusedRecipientsStayFailedWhenTheRestIsInDoubt) {
  smtp::TransactionResult result = Result(250, 550, 250, 354, 0);
  result.in_doubt = true;
  const Judgement judgement = Judge(result, kBoth, {});
  EXPECT_EQ(judgement.recipients[0].disposition, Disposition::kFailed);
  EXPECT_EQ(judgement.recipients[1].disposition, Disposition::kDeferred);
}

TEST(FailurePolicyTest, LostBeforeTheDotChargesTheMessageAndBacksThePairOff) {
  smtp::TransactionResult result = Result(250, 250, 0, 0, 0);
  result.stage = SmtpStage::kRcpt;
  const Judgement judgement = Judge(result, kBoth, {});
  EXPECT_EQ(judgement.reason, RequeueReason::kConnectionLost);
  EXPECT_TRUE(judgement.charge);
  EXPECT_TRUE(judgement.pair_back_off);
  EXPECT_EQ(judgement.decisive.code, 451);
}

TEST(FailurePolicyTest, ASpoolThatCannotRecordIsNobodysFaultButOurs) {
  smtp::TransactionResult result = Result(250, 250, 250, 354, 0);
  result.session_over = true;
  SessionFacts facts;
  facts.spool_failed = true;
  const Judgement judgement = Judge(result, kBoth, facts);
  EXPECT_EQ(judgement.reason, RequeueReason::kLocalFault);
  EXPECT_EQ(judgement.disposition, mail::Disposition::kDeferred);
  EXPECT_FALSE(judgement.charge);
  EXPECT_FALSE(judgement.pair_back_off);
  EXPECT_FALSE(judgement.in_doubt);
}

TEST(FailurePolicyTest, APeerThatClosedBetweenTransactionsChargesNothing) {
  SessionFacts facts;
  facts.deliveries = 3;
  const Judgement judgement = Judge(Result(0, 0, 0, 0, 0), kBoth, facts);
  EXPECT_FALSE(judgement.charge);
  facts.timed_out = true;
  EXPECT_TRUE(Judge(Result(0, 0, 0, 0, 0), kBoth, facts).charge);
}

}  // namespace
}  // namespace postern::delivery

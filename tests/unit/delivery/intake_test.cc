#include "server/delivery/intake.h"

#include <gtest/gtest.h>

#include "server/base/retry_after.h"
#include "server/delivery/messages.h"
#include "server/delivery/recorder.h"
#include "tests/support/memory_spool.h"
#include "tests/unit/delivery/stopped_clock.h"

namespace postern::delivery {
namespace {

class FixedOptions final : public mail::OptionsSource {
 public:
  std::shared_ptr<const mail::DeliveryOptions> ForPair(absl::string_view domain,
                                                       absl::string_view) const override {
    auto options = std::make_shared<mail::DeliveryOptions>();
    if (domain == "relayed.example") {
      mail::HostPort gateway;
      gateway.host = "relay.example";
      gateway.port = 587;
      options->gateway = std::make_shared<const mail::HostPort>(gateway);
    }
    return options;
  }
  bool KnowsBinding(absl::string_view binding) const override { return binding == "default"; }
  std::uint64_t generation() const override { return 1; }
};

class IntakeTest : public ::testing::Test {
 protected:
  static mail::Submission Good() {
    mail::Submission submission;
    submission.sender = "s@source.example";
    submission.recipients = {"a@x.example"};
    submission.content = "Subject: hello\r\n\r\nworld\r\n";
    return submission;
  }

  absl::StatusOr<Receipt> Submit(mail::Submission submission) {
    absl::StatusOr<Receipt> answer = absl::UnknownError("no answer");
    intake.Submit(std::move(submission),
                  [&answer](absl::StatusOr<Receipt> receipt) { answer = std::move(receipt); });
    return answer;
  }

  void ExpectRefused(mail::Submission submission, const std::string& field) {
    const auto answer = Submit(std::move(submission));
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kInvalidArgument) << answer.status();
    EXPECT_EQ(answer.status().message().substr(0, field.size()), field) << answer.status();
    EXPECT_EQ(spool.row_count(), 0u);
    EXPECT_EQ(spool.content_count(), 0u);
    EXPECT_TRUE(queued.empty());
  }

  StoppedClock clock;
  base::Registry registry;
  postern::testing::MemorySpool spool;
  FixedOptions options;
  mail::BindingTable bindings;
  hooks::HookPoint hook_point{clock, nullptr, nullptr};
  DeliveryMetrics metrics{registry};
  Context context{clock, spool, options, bindings, hook_point, metrics, {}, {}};
  std::vector<queue::RowPtr> queued;
  AdmissionReading reading = [] {
    AdmissionReading roomy;
    roomy.free_bytes = 1000;
    return roomy;
  }();
  Admission admission{
      {.min_free_bytes = 100}, [this] { return reading; }, metrics.queued_rows, clock, registry};
  SpoolIntake intake{context, admission, IntakeLimits{1000, 3},
                     [this](queue::RowPtr row) { queued.push_back(std::move(row)); }};
};

TEST_F(IntakeTest, StoresAndThenQueuesOneRowForEachDomain) {
  mail::Submission submission = Good();
  submission.recipients = {"a@x.example", "b@y.example", "c@X.example"};
  const auto receipt = Submit(std::move(submission));
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  ASSERT_EQ(receipt->rows.size(), 2u);
  EXPECT_EQ(receipt->rows[0].pair.domain, "x.example");
  EXPECT_EQ(receipt->rows[0].recipients, 2u);
  EXPECT_EQ(spool.row_count(), 2u);
  EXPECT_EQ(spool.content_count(), 1u);
  ASSERT_EQ(queued.size(), 2u);
  EXPECT_NE(queued[0]->message, nullptr);
  EXPECT_EQ(queued[0]->message, queued[1]->message);
}

TEST_F(IntakeTest, TheSameMailboxTwiceIsOneRecipient) {
  mail::Submission submission = Good();
  submission.recipients = {"a@x.example", "a@X.EXAMPLE", "A@x.example"};
  ASSERT_TRUE(Submit(std::move(submission)).ok());
  EXPECT_EQ(queued[0]->row.recipients.size(), 2u);
}

TEST_F(IntakeTest, MailForAGatewayIsFiledUnderIt) {
  mail::Submission submission = Good();
  submission.recipients = {"a@relayed.example"};
  ASSERT_TRUE(Submit(std::move(submission)).ok());
  EXPECT_EQ(queued[0]->row.pair->domain, "relay.example:587");
}

TEST_F(IntakeTest, EveryRefusalNamesItsFieldAndStoresNothing) {
  mail::Submission submission = Good();
  submission.recipients = {};
  ExpectRefused(submission, "recipients: ");
  submission.recipients = {"a@x.example", "nobody"};
  ExpectRefused(submission, "recipients[1]: ");
  submission.recipients.assign(4, "a@x.example");
  ExpectRefused(submission, "recipients: ");
  submission = Good();
  submission.sender = "s@";
  ExpectRefused(submission, "sender: ");
  submission = Good();
  submission.content = std::string(1001, 'x');
  ExpectRefused(submission, "content: ");
  submission.content.clear();
  ExpectRefused(submission, "content: ");
  submission = Good();
  submission.binding = "nosuch";
  ExpectRefused(submission, "binding: ");
}

TEST_F(IntakeTest, NothingIsQueuedThatIsNotOnDisk) {
  spool.FailStores(absl::ResourceExhaustedError("no space"));
  EXPECT_EQ(Submit(Good()).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(queued.empty());
}

TEST_F(IntakeTest, RefusesAtAWatermarkAndSaysWhenToTryAgain) {
  reading.free_bytes = 99;
  const auto answer = Submit(Good());
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(answer.status().message().substr(0, 6), "disk: ");
  EXPECT_EQ(base::RetryAfter(answer.status()), absl::Seconds(30));
  EXPECT_EQ(spool.row_count(), 0u);
}

TEST_F(IntakeTest, TakesNothingWhileDraining) {
  context.draining = true;
  EXPECT_EQ(Submit(Good()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(IntakeTest, MarksEightBitContentAndUtf8Addresses) {
  mail::Submission submission = Good();
  submission.content += "\xc3\xa9";
  submission.recipients = {"\xc3\xa9@x.example"};
  ASSERT_TRUE(Submit(std::move(submission)).ok());
  EXPECT_TRUE(queued[0]->row.eight_bit);
  EXPECT_TRUE(queued[0]->row.smtp_utf8);
}

TEST_F(IntakeTest, AFinishedMessageLeavesTheSpoolAndStaysReadable) {
  mail::Submission submission = Good();
  submission.recipients = {"a@x.example", "b@y.example"};
  const base::Id id = Submit(std::move(submission))->message_id;
  queue::AgeBook ages;
  Recorder recorder(context, ages, 0);
  SpoolMessages messages(context);
  const auto reply =
      std::make_shared<const mail::Reply>(mail::Reply{250, "2.0.0", "ok", mail::SmtpStage::kBody});
  recorder.FinishAs(std::move(queued[1]), mail::Disposition::kDelivered, reply);
  EXPECT_EQ(spool.row_count(), 2u);  // the other row is still open
  EXPECT_EQ(messages.Get(id, MessageSource::History::kNo)->rows[1].recipients[0].disposition,
            mail::Disposition::kDelivered);
  recorder.FinishAs(std::move(queued[0]), mail::Disposition::kFailed, reply);
  EXPECT_EQ(spool.row_count(), 0u);
  EXPECT_EQ(spool.content_count(), 0u);
  const auto view = messages.Get(id, MessageSource::History::kNo);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->rows[0].recipients[0].disposition, mail::Disposition::kFailed);
}

TEST_F(IntakeTest, APairInTroubleShowsInItsMessages) {
  const base::Id id = Submit(Good())->message_id;
  SpoolMessages messages(context);
  PairTrouble trouble;
  trouble.until = clock.now + absl::Minutes(5);
  trouble.reason = mail::RequeueReason::kConnectFailed;
  context.board.Set({"x.example", "default"}, trouble);
  EXPECT_EQ(messages.Get(id, MessageSource::History::kNo)->rows[0].reason,
            mail::RequeueReason::kConnectFailed);
  EXPECT_EQ(messages.Get(id, MessageSource::History::kNo)->rows[0].next_attempt, trouble.until);
  context.board.Clear({"x.example", "default"});
  EXPECT_EQ(messages.Get(id, MessageSource::History::kNo)->rows[0].reason,
            mail::RequeueReason::kNew);
}

TEST_F(IntakeTest, LookingForFewAmongManyIsCutOffAndGoesOnThere) {
  const auto submit = [&](const std::string& recipient) {
    clock.now += absl::Milliseconds(1);
    mail::Submission submission = Good();
    submission.recipients = {recipient};
    return Submit(std::move(submission))->message_id;
  };
  const auto finish = [&](const base::Id& id) {
    mail::Row row = spool.ReadRows(id)->front();
    row.recipients[0].disposition = mail::Disposition::kDelivered;
    row.recipients[0].unreported = true;
    spool.Finish(row, {});
  };
  std::vector<base::Id> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(submit("a@x.example"));
  for (int i = 0; i < 6; ++i) finish(ids[static_cast<std::size_t>(i)]);
  const base::Id wanted = submit("a@y.example");
  SpoolMessages messages(context, {.most = 4, .piece = 2});
  MessageSource::Query query;
  query.domain = "y.example";
  std::vector<base::Id> cuts;
  std::vector<base::Id> found;
  do {
    const auto page = messages.List(query);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const MessageView& view : page->messages) found.push_back(view.rows[0].message_id);
    query.after = page->next;
    if (!page->next.empty()) cuts.push_back(page->next);
  } while (!query.after.empty());
  // Each page goes as far as the scan that came less far: of the finished ones, then of the queue.
  EXPECT_EQ(cuts, (std::vector<base::Id>{ids[3], ids[9]}));
  EXPECT_EQ(found, std::vector<base::Id>{wanted});
}

TEST_F(IntakeTest, PagesThroughMessagesInOrderOfSubmission) {
  std::vector<base::Id> ids;
  for (int i = 0; i < 3; ++i) {
    clock.now += absl::Milliseconds(1);
    ids.push_back(Submit(Good())->message_id);
  }
  SpoolMessages messages(context);
  MessageSource::Query query;
  query.page_size = 2;
  const auto first = messages.List(query);
  ASSERT_EQ(first->messages.size(), 2u);
  query.after = first->next;
  const auto second = messages.List(query);
  ASSERT_EQ(second->messages.size(), 1u);
  EXPECT_EQ(second->messages[0].rows[0].message_id, ids[2]);
  EXPECT_TRUE(second->next.empty());
}

}  // namespace
}  // namespace postern::delivery

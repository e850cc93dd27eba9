#include <thread>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/rpc/convert.h"
#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;

class DeliveryTest : public RpcTest {
 protected:
  grpc::Status Submit(const v1::SubmitRequest& request, v1::SubmitReceipt* receipt) {
    return delivery_stub->Submit(Context().get(), request, receipt);
  }
};

TEST_F(DeliveryTest, SubmitAnswersWhenTheMessageIsStored) {
  Start();
  intake.Hold(true);
  v1::SubmitReceipt receipt;
  grpc::Status status(StatusCode::UNKNOWN, "not answered");
  std::thread client([&] { status = Submit(Message("first@a.example"), &receipt); });
  intake.AwaitPending(1);
  FakeIntake::Pending pending = intake.Take(0);
  EXPECT_EQ(pending.submission.recipients, std::vector<std::string>{"r@b.example"});
  EXPECT_EQ(pending.submission.content, "Subject: x\r\n\r\nbody\r\n");
  const delivery::Receipt stored = FakeIntake::ReceiptFor(pending.submission);
  pending.done(stored);
  client.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(receipt.message_id(), stored.message_id.ToString());
  EXPECT_EQ(receipt.durability(), v1::DURABILITY_SYNCED);
  ASSERT_EQ(receipt.rows_size(), 1);
  EXPECT_EQ(receipt.rows(0).domain(), "first@a.example");
}

TEST_F(DeliveryTest, RefusalOfTheIntakeKeepsCodeAndField) {
  Start();
  v1::SubmitReceipt receipt;
  intake.Refuse(absl::InvalidArgumentError("recipients[1]: no domain"));
  grpc::Status status = Submit(Message(), &receipt);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "recipients[1]: no domain");
  intake.Refuse(absl::UnavailableError("draining"));
  EXPECT_EQ(Submit(Message(), &receipt).error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(DeliveryTest, ContentOverTheLimitIsRefusedByName) {
  Start();
  v1::SubmitRequest request = Message();
  request.set_content(std::string((std::size_t{50} << 20) + 1, 'x'));
  v1::SubmitReceipt receipt;
  const grpc::Status status = Submit(request, &receipt);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message().rfind("content: ", 0), 0U) << status.error_message();
  EXPECT_EQ(intake.submitted(), 0U);
}

TEST_F(DeliveryTest, FieldsThatAreNotServedAreRefusedByName) {
  Start();
  v1::SubmitReceipt receipt;
  v1::SubmitRequest request = Message();
  (*request.mutable_metadata())["k"] = "v";
  const grpc::Status status = Submit(request, &receipt);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "metadata: not served yet");
  EXPECT_EQ(intake.submitted(), 0U);
}

TEST_F(DeliveryTest, ATokenComesWithTheDigestOfAllTheRest) {
  Start();
  intake.Hold(true);
  std::vector<v1::SubmitRequest> requests(5, Message());
  for (v1::SubmitRequest& request : requests) request.set_token("t");
  requests[1].set_token("other");       // not part of it
  requests[2].set_content("B: c\r\n");  // these are
  requests[3].set_smtputf8(true);
  requests[4].set_binding("default");
  auto context = Context();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  for (const v1::SubmitRequest& request : requests) *frame.add_submissions() = request;
  ASSERT_TRUE(stream->Write(frame));
  stream->WritesDone();
  intake.AwaitPending(requests.size());
  std::vector<mail::Submission> submissions;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    FakeIntake::Pending pending = intake.Take(0);
    submissions.push_back(pending.submission);
    delivery::Receipt receipt = FakeIntake::ReceiptFor(pending.submission);
    receipt.duplicate = i == 1;
    pending.done(receipt);
  }
  EXPECT_EQ(submissions[0].token, "t");
  EXPECT_EQ(submissions[0].content, Message().content());
  EXPECT_EQ(submissions[0].digest, submissions[1].digest);
  for (std::size_t i = 2; i < submissions.size(); ++i) {
    EXPECT_NE(submissions[0].digest, submissions[i].digest) << i;
  }
  v1::SubmitStreamResponse response;
  std::vector<bool> duplicates;
  while (stream->Read(&response)) {
    for (const v1::SubmitResult& result : response.results()) {
      duplicates.push_back(result.receipt().duplicate());
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(duplicates, (std::vector<bool>{false, true, false, false, false}));
}

TEST_F(DeliveryTest, WhatCanBeSeenWithoutConfigurationIsChecked) {
  Start();
  v1::SubmitReceipt receipt;
  v1::SubmitRequest request = Message();
  request.mutable_message_expiration()->set_seconds(0);
  EXPECT_EQ(FieldOf(Submit(request, &receipt).error_message()), "message_expiration");
  request = Message();
  request.set_content("\xC3\xA9");
  request.set_body(v1::BODY_TYPE_7BIT);
  EXPECT_EQ(FieldOf(Submit(request, &receipt).error_message()), "body");
  request.set_body(static_cast<v1::BodyType>(77));
  EXPECT_EQ(Submit(request, &receipt).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(DeliveryTest, BytesInFlightAreBounded) {
  limits.inflight_bytes = 300;
  Start();
  intake.Hold(true);
  v1::SubmitReceipt receipt;
  grpc::Status first;
  std::thread client([&] { first = Submit(Message(), &receipt); });
  intake.AwaitPending(1);
  v1::SubmitRequest large = Message();
  large.set_content(std::string(250, 'x'));
  v1::SubmitReceipt other;
  EXPECT_EQ(Submit(large, &other).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  FakeIntake::Pending pending = intake.Take(0);
  pending.done(FakeIntake::ReceiptFor(pending.submission));
  client.join();
  EXPECT_TRUE(first.ok());
  intake.Hold(false);
  EXPECT_TRUE(Submit(Message(), &other).ok()) << "what was stored must be given back";
}

TEST_F(DeliveryTest, StreamAnswersInOrderWhateverIsStoredFirst) {
  Start();
  intake.Hold(true);
  auto context = Context();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  for (const char* sender : {"1@a.example", "2@a.example", "3@a.example"}) {
    *frame.add_submissions() = Message(sender);
  }
  ASSERT_TRUE(stream->Write(frame));
  intake.AwaitPending(3);
  for (std::size_t left = 3; left > 0; --left) {
    FakeIntake::Pending pending = intake.Take(left - 1);
    pending.done(FakeIntake::ReceiptFor(pending.submission));
  }
  stream->WritesDone();
  std::vector<std::string> senders;
  v1::SubmitStreamResponse response;
  while (stream->Read(&response)) {
    for (const v1::SubmitResult& result : response.results()) {
      senders.push_back(result.receipt().rows(0).domain());
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(senders, (std::vector<std::string>{"1@a.example", "2@a.example", "3@a.example"}));
}

TEST_F(DeliveryTest, RefusedSubmissionDoesNotEndItsStream) {
  Start();
  auto context = Context();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message();
  frame.add_submissions()->set_token(std::string(129, 'x'));
  *frame.add_submissions() = Message();
  ASSERT_TRUE(stream->Write(frame));
  stream->WritesDone();
  std::vector<v1::SubmitResult> results;
  v1::SubmitStreamResponse response;
  while (stream->Read(&response)) {
    results.insert(results.end(), response.results().begin(), response.results().end());
  }
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(results.size(), 3U);
  EXPECT_TRUE(results[0].has_receipt());
  EXPECT_EQ(results[1].error().code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(results[1].error().field(), "token");
  EXPECT_TRUE(results[2].has_receipt());
}

TEST_F(DeliveryTest, StreamReadsNoFurtherThanItsWindow) {
  limits.stream_messages = 4;
  Start();
  intake.Hold(true);
  auto context = Context();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message();
  *frame.add_submissions() = Message();
  *frame.add_submissions() = Message();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(stream->Write(frame));
  stream->WritesDone();
  int results = 0;
  std::thread reader([&] {
    v1::SubmitStreamResponse response;
    while (stream->Read(&response)) results += response.results_size();
  });
  for (int i = 0; i < 30; ++i) {
    intake.AwaitPending(std::min<std::size_t>(4, static_cast<std::size_t>(30 - i)));
    FakeIntake::Pending pending = intake.Take(0);
    pending.done(FakeIntake::ReceiptFor(pending.submission));
  }
  reader.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(results, 30);
  EXPECT_EQ(intake.most_pending(), 4U);
}

TEST_F(DeliveryTest, ClientsThatVanishLeaveNothingBehind) {
  Start();
  intake.Hold(true);
  auto stream_context = Context();
  auto stream = delivery_stub->SubmitStream(stream_context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message();
  ASSERT_TRUE(stream->Write(frame));
  auto context = Context();
  std::thread client([&] {
    v1::SubmitReceipt receipt;
    EXPECT_EQ(delivery_stub->Submit(context.get(), Message(), &receipt).error_code(),
              StatusCode::CANCELLED);
  });
  intake.AwaitPending(2);
  stream_context->TryCancel();
  context->TryCancel();
  client.join();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  server->Shutdown(absl::Seconds(60));  // both calls have ended, though nothing is stored
  for (int i = 0; i < 2; ++i) {
    FakeIntake::Pending pending = intake.Take(0);
    pending.done(FakeIntake::ReceiptFor(pending.submission));
  }
}

TEST_F(DeliveryTest, AStreamThatTheServiceEndsIsNotOk) {
  Start();
  intake.Hold(true);
  auto context = Context();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message();
  ASSERT_TRUE(stream->Write(frame));
  intake.AwaitPending(1);
  // Ends when the streams have been told to.
  auto watch_context = Context();
  auto watch = grpc::health::v1::Health::NewStub(channel)->Watch(watch_context.get(), {});
  grpc::health::v1::HealthCheckResponse health;
  ASSERT_TRUE(watch->Read(&health));
  std::thread stop([&] { server->Shutdown(absl::Seconds(60)); });
  while (watch->Read(&health)) continue;
  EXPECT_EQ(watch->Finish().error_code(), StatusCode::UNAVAILABLE);
  ASSERT_TRUE(stream->Write(frame));  // is read, and nothing behind it
  intake.AwaitPending(2);
  for (int i = 0; i < 2; ++i) {
    FakeIntake::Pending pending = intake.Take(0);
    pending.done(FakeIntake::ReceiptFor(pending.submission));
  }
  int results = 0;
  v1::SubmitStreamResponse response;
  while (stream->Read(&response)) results += response.results_size();
  EXPECT_EQ(results, 2);
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
  stop.join();
}

TEST_F(DeliveryTest, ShutdownDoesNotWaitForStoresForEver) {
  Start();
  intake.Hold(true);
  auto context = Context();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message();
  ASSERT_TRUE(stream->Write(frame));
  intake.AwaitPending(1);
  server->Shutdown(absl::Milliseconds(50));
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(DeliveryTest, GetMessageShowsRowsAndReplies) {
  mail::Row row;
  row.message_id = base::NewId(absl::Now());
  row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"gateway.example", "bulk"});
  row.sender = "s@a.example";
  row.created = absl::FromUnixSeconds(1000);
  row.expires = absl::FromUnixSeconds(2000);
  row.next_attempt = absl::FromUnixSeconds(1500);
  row.attempts = 1;
  row.reason = mail::RequeueReason::kSessionEnded;
  mail::Reply reply{451, "4.7.1", "later \xFF", mail::SmtpStage::kRcpt};
  row.recipients.push_back(
      {"r@B.example", mail::Disposition::kDeferred, std::make_shared<const mail::Reply>(reply)});
  const int slot = bindings.SlotOf("bulk");
  messages.messages.push_back({{row}});
  Start();
  v1::GetMessageRequest request;
  request.set_message_id(row.message_id.ToString());
  v1::Message message;
  ASSERT_TRUE(delivery_stub->GetMessage(Context().get(), request, &message).ok());
  EXPECT_EQ(message.sender(), "s@a.example");
  EXPECT_EQ(message.submitted().seconds(), 1000);
  ASSERT_EQ(message.rows_size(), 1);
  const v1::MessageRow& out = message.rows(0);
  EXPECT_EQ(out.domain(), "b.example");
  EXPECT_EQ(out.queue_domain(), "gateway.example");
  EXPECT_EQ(out.binding().slot(), slot);
  EXPECT_EQ(out.reason(), v1::REQUEUE_REASON_SESSION_ENDED);
  EXPECT_EQ(out.next_attempt().seconds(), 1500);
  EXPECT_EQ(out.recipients(0).disposition(), v1::DISPOSITION_DEFERRED);
  EXPECT_EQ(out.recipients(0).last_reply().text(), "later ?")
      << "not UTF-8, must not kill the call";
  EXPECT_EQ(out.recipients(0).last_reply().stage(), v1::SMTP_STAGE_RCPT);
}

TEST_F(DeliveryTest, EachRowHasItsHistory) {
  delivery::MessageView view;
  mail::Row row;
  row.message_id = base::NewId(absl::Now());
  row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"b.example", "default"});
  row.recipients.push_back({"r@b.example", mail::Disposition::kDeferred, nullptr});
  // Of a finished message some may be gone.
  for (const std::uint16_t index : std::initializer_list<std::uint16_t>{1, 2, 4}) {
    row.index = index;
    view.rows.push_back(row);
  }
  view.in_session = {2};
  for (const std::uint16_t index : std::initializer_list<std::uint16_t>{0, 1, 1, 4, 4, 4}) {
    spool::OutcomeRecord& record = view.history.emplace_back();
    record.row = row;
    record.row.index = index;
    record.took = absl::Seconds(index);
    record.connection.emplace();
  }
  view.history[5].connection.reset();  // no transaction
  messages.messages.push_back(view);
  Start();
  v1::GetMessageRequest request;
  request.set_message_id(row.message_id.ToString());
  v1::Message message;
  ASSERT_TRUE(delivery_stub->GetMessage(Context().get(), request, &message).ok());
  ASSERT_EQ(message.rows_size(), 3);
  EXPECT_EQ(message.rows(0).history_size(), 2);
  EXPECT_EQ(message.rows(0).history(0).took().seconds(), 1);
  EXPECT_FALSE(message.rows(0).in_session());
  EXPECT_EQ(message.rows(1).history_size(), 0);
  EXPECT_TRUE(message.rows(1).in_session());
  ASSERT_EQ(message.rows(2).history_size(), 2);
  EXPECT_EQ(message.rows(2).history(0).took().seconds(), 4);
  EXPECT_FALSE(message.rows(2).in_session());
}

TEST_F(DeliveryTest, GetMessageNamesWhatIsWrong) {
  Start();
  v1::GetMessageRequest request;
  v1::Message message;
  request.set_message_id("no id");
  EXPECT_EQ(delivery_stub->GetMessage(Context().get(), request, &message).error_message(),
            "message_id: must be 32 hexadecimal digits");
  request.set_message_id(std::string(32, '0'));
  EXPECT_EQ(delivery_stub->GetMessage(Context().get(), request, &message).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(DeliveryTest, ListMessagesGoesOnFromItsToken) {
  for (int i = 1; i <= 3; ++i) {
    mail::Row row;
    row.message_id = base::NewId(absl::FromUnixSeconds(i));
    messages.messages.push_back({{row}});
  }
  Start();
  v1::ListMessagesRequest request;
  request.set_page_size(2);
  v1::ListMessagesResponse page;
  ASSERT_TRUE(delivery_stub->ListMessages(Context().get(), request, &page).ok());
  EXPECT_EQ(page.messages_size(), 2);
  request.set_page_token(page.next_page_token());
  page.Clear();
  ASSERT_TRUE(delivery_stub->ListMessages(Context().get(), request, &page).ok());
  EXPECT_EQ(page.messages_size(), 1);
  EXPECT_EQ(page.next_page_token(), "");
  request.set_page_token("?");
  EXPECT_EQ(FieldOf(delivery_stub->ListMessages(Context().get(), request, &page).error_message()),
            "page_token");
  request.clear_page_token();
  request.set_page_size(1001);
  EXPECT_EQ(FieldOf(delivery_stub->ListMessages(Context().get(), request, &page).error_message()),
            "page_size");
}

TEST_F(DeliveryTest, CallsAreCountedByMethodAndCode) {
  Start();
  v1::SubmitReceipt receipt;
  ASSERT_TRUE(Submit(Message(), &receipt).ok());
  v1::SubmitRequest request = Message();
  request.set_priority(1);
  ASSERT_FALSE(Submit(request, &receipt).ok());
  const std::string text = registry.Render();
  EXPECT_NE(text.find("postern_rpc_calls_total{method=\"Delivery.Submit\",code=\"OK\"} 1"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("{method=\"Delivery.Submit\",code=\"UNIMPLEMENTED\"} 1"), std::string::npos);
}

}  // namespace
}  // namespace postern::rpc

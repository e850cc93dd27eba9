// Streams that are open when other rights come into force.
#include <gmock/gmock.h>

#include "absl/strings/match.h"
#include "tests/unit/rpc/fixture.h"
#include "tests/unit/rpc/log_lines.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RightsInForceTest : public RpcTest {
 protected:
  RightsInForceTest() {
    access.identities.push_back({});
    client().name = "client";
    client().token = kToken;
    client().rights = Rights::Everything();
    // Nobody waits for it: what ends here ends by its rights.
    limits.heartbeat = absl::Hours(1);
  }
  IdentitySpec& client() { return access.identities.front(); }
  void Remove() {
    client().name = "another";
    client().token = "another-token-altogether";
    server->ReplaceAccess(access);
  }
  static std::unique_ptr<grpc::ClientContext> Mine() {
    auto context = Context();
    context->AddMetadata("authorization", std::string("Bearer ") + kToken);
    return context;
  }
  std::uint64_t Denied(const std::string& method, const std::string& reason) {
    return registry
        .AddCounter("postern_rpc_denied_total", "", {{"method", method}, {"reason", reason}})
        .value();
  }
  void ExpectGone(const grpc::Status& status, const std::string& method) {
    EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED) << status.error_message();
    EXPECT_EQ(Denied(method, "unauthenticated"), 1U);
  }

  // Streams that stand when they are returned.
  auto Watch(grpc::ClientContext* context, const std::string& domain = "*") {
    v1::WatchRequest request;
    request.set_snapshot(true);
    request.mutable_filter()->add_domains(domain);
    auto reader = hooks_stub->Watch(context, request);
    v1::WatchResponse frame;
    EXPECT_TRUE(reader->Read(&frame));
    return reader;
  }
  auto Attach(grpc::ClientContext* context, const std::string& domain = "*") {
    auto stream = hooks_stub->Decide(context);
    v1::DecideRequest frame;
    frame.mutable_attach()->set_provider("p");
    frame.mutable_attach()->mutable_filter()->add_domains(domain);
    EXPECT_TRUE(stream->Write(frame));
    v1::DecideResponse answer;
    EXPECT_TRUE(stream->Read(&answer));
    EXPECT_TRUE(answer.has_attached());
    return stream;
  }
  template <class Frame, class Stream>
  static grpc::Status End(Stream& stream) {
    Frame frame;
    while (stream->Read(&frame)) continue;
    return stream->Finish();
  }
  void Record(std::string submitter) {
    mail::Row row;
    row.message_id = base::NewId(absl::Now());
    row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"b.example", "default"});
    row.recipients.push_back(
        {absl::StrCat("of-", submitter, "@b.example"), mail::Disposition::kDelivered, nullptr});
    row.submitter = std::move(submitter);
    outcomes.Record(std::move(row));
  }
};

TEST_F(RightsInForceTest, AnIdentityThatIsGoneStopsWatching) {
  Start();
  auto context = Mine();
  auto reader = Watch(context.get());
  Remove();
  ExpectGone(End<v1::WatchResponse>(reader), "Hooks.Watch");
}

TEST_F(RightsInForceTest, AnIdentityThatIsGoneIsAskedNoMoreQuestions) {
  Start();
  auto context = Mine();
  auto stream = Attach(context.get());
  Remove();
  ExpectGone(End<v1::DecideResponse>(stream), "Hooks.Decide");
  FakeSession session(*bridge);
  session.Connect();
  EXPECT_FALSE(session.Ask());
}

TEST_F(RightsInForceTest, AnIdentityThatIsGoneSubmitsNoMore) {
  Start();
  intake.Hold(true);
  auto context = Mine();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message();
  ASSERT_TRUE(stream->Write(frame));
  intake.AwaitPending(1);
  Remove();
  stream->Write(frame);
  // What was taken before is told of before the end.
  FakeIntake::Pending pending = intake.Take(0);
  pending.done(FakeIntake::ReceiptFor(pending.submission));
  v1::SubmitStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.results(0).has_receipt());
  ExpectGone(End<v1::SubmitStreamResponse>(stream), "Delivery.SubmitStream");
  EXPECT_EQ(intake.submitted(), 1U);
}

TEST_F(RightsInForceTest, AnIdentityThatIsGoneHearsOfNoMoreOutcomes) {
  Start();
  auto context = Mine();
  auto stream = delivery_stub->Outcomes(context.get());
  v1::OutcomesRequest request;
  request.mutable_start();
  ASSERT_TRUE(stream->Write(request));
  Record("client");
  v1::OutcomesResponse response;
  ASSERT_TRUE(stream->Read(&response));
  Remove();
  ExpectGone(End<v1::OutcomesResponse>(stream), "Delivery.Outcomes");
}

TEST_F(RightsInForceTest, WhoIsSomebodyElseNowIsNotWhoOpenedTheStream) {
  Start();
  auto context = Mine();
  auto reader = Watch(context.get());
  client().name = "other";
  server->ReplaceAccess(access);
  const grpc::Status status = End<v1::WatchResponse>(reader);
  EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("is other, no longer client"));
}

TEST_F(RightsInForceTest, AMethodWhoseRightIsGoneIsNotGoneOnWith) {
  Start();
  auto watch_context = Mine(), decide_context = Mine();
  auto reader = Watch(watch_context.get());
  auto stream = Attach(decide_context.get());
  client().rights.watch.reset();
  server->ReplaceAccess(access);
  const grpc::Status status = End<v1::WatchResponse>(reader);
  EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(), "watch: client lacks this right");
  EXPECT_EQ(Denied("Hooks.Watch", "watch"), 1U);
  // The other one was not touched.
  stream->WritesDone();
  EXPECT_TRUE(End<v1::DecideResponse>(stream).ok());
}

TEST_F(RightsInForceTest, SubmissionsOfAnOpenStreamAreJudgedByWhatIsInForceNow) {
  Start();
  auto context = Mine();
  auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message("s@a.example");
  ASSERT_TRUE(stream->Write(frame));
  v1::SubmitStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.results(0).has_receipt());
  client().rights.submit->sender_domains = {"b.example"};
  server->ReplaceAccess(access);
  ASSERT_TRUE(stream->Write(frame));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.results(0).error().code(), StatusCode::PERMISSION_DENIED);
  stream->WritesDone();
  EXPECT_TRUE(End<v1::SubmitStreamResponse>(stream).ok());
}

TEST_F(RightsInForceTest, OutcomesOfOthersAreNotToldOnceAllIsTakenAway) {
  Start();
  auto context = Mine();
  auto stream = delivery_stub->Outcomes(context.get());
  v1::OutcomesRequest request;
  request.mutable_start();
  ASSERT_TRUE(stream->Write(request));
  Record("else");
  v1::OutcomesResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.outcomes().outcomes(0).recipient(), "of-else@b.example");
  client().rights.all = false;
  server->ReplaceAccess(access);
  Record("else");
  Record("client");
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.outcomes().outcomes_size(), 1);
  EXPECT_EQ(response.outcomes().outcomes(0).recipient(), "of-client@b.example");
  stream->WritesDone();
  EXPECT_TRUE(End<v1::OutcomesResponse>(stream).ok());
}

TEST_F(RightsInForceTest, AStreamThatIsAllowedOnlyInPartMustBeOpenedAgain) {
  Start();
  auto wide_context = Mine(), narrow_context = Mine(), decide_context = Mine();
  auto wide = Watch(wide_context.get(), "*");
  auto narrow = Watch(narrow_context.get(), "a.example");
  auto decide = Attach(decide_context.get(), "*.example");
  client().rights.watch->domains = {"*.example"};
  client().rights.decide->filter.domains = {"*.b.example"};
  server->ReplaceAccess(access);
  for (const grpc::Status& status :
       {End<v1::WatchResponse>(wide), End<v1::DecideResponse>(decide)}) {
    EXPECT_EQ(status.error_code(), StatusCode::ABORTED);
    EXPECT_EQ(status.error_message(), "the rights of client were narrowed: open the stream again");
  }
  // What is within the new rights goes on.
  FakeSession session(*bridge, "a.example");
  session.Connect();
  v1::WatchResponse frame;
  ASSERT_TRUE(narrow->Read(&frame));
  EXPECT_EQ(frame.events().events(0).connection().domain(), "a.example");
  narrow_context->TryCancel();
  End<v1::WatchResponse>(narrow);
}

TEST_F(RightsInForceTest, AStreamKeepsItsPlaceOverAReload) {
  access.max_streams_per_identity = 1;
  Start();
  auto context = Mine();
  auto reader = Watch(context.get());
  server->ReplaceAccess(access);
  auto again = Mine();
  v1::WatchRequest request;
  auto second = hooks_stub->Watch(again.get(), request);
  EXPECT_EQ(End<v1::WatchResponse>(second).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  context->TryCancel();
  End<v1::WatchResponse>(reader);
}

TEST_F(RightsInForceTest, AVerdictThatIsDeniedIsCountedAndAudited) {
  const LogLines log;
  client().rights.decide->filter.domains = {"a.example"};
  Start();
  FakeSession outside(*bridge, "b.example");
  outside.Connect();
  auto context = Mine();
  auto stream = Attach(context.get());
  v1::DecideRequest frame;
  v1::Verdict* verdict = frame.mutable_verdicts()->add_verdicts();
  verdict->set_verdict_id(7);
  verdict->set_decision(v1::DECISION_SHUTDOWN);
  verdict->mutable_connection()->set_connection_id(outside.info.id.ToString());
  ASSERT_TRUE(stream->Write(frame));
  v1::DecideResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.verdict_results().results(0).status(), v1::VERDICT_STATUS_DENIED);
  stream->WritesDone();
  EXPECT_TRUE(End<v1::DecideResponse>(stream).ok());
  EXPECT_EQ(Denied("Hooks.Decide", "decide"), 1U);

  v1::PostVerdictsRequest post;
  post.set_provider("p");
  *post.add_verdicts() = *verdict;
  v1::PostVerdictsResponse results;
  ASSERT_TRUE(hooks_stub->PostVerdicts(Mine().get(), post, &results).ok());
  EXPECT_EQ(Denied("Hooks.PostVerdicts", "decide"), 1U);
  server.reset();
  EXPECT_THAT(log.With("audit call=Hooks.Decide"),
              ElementsAre(AllOf(HasSubstr("who=\"client\""), HasSubstr("PERMISSION_DENIED"),
                                HasSubstr("decide: verdict 7 of p: connection_id: outside"))));
  EXPECT_THAT(log.With("audit call=Hooks.PostVerdicts"), ElementsAre(HasSubstr("verdict 7 of p")));
}

}  // namespace
}  // namespace postern::rpc

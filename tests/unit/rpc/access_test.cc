// Who may call, over a real server; see also the scenarios of tests/integration about certificates.
#include <thread>

#include "absl/strings/match.h"
#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

struct NobodyReads final : bridge::Subscriber {
  void OnReady() override {}
};

class AccessTest : public RpcTest {
 protected:
  IdentitySpec& Add(std::string name) {
    access.identities.push_back({});
    access.identities.back().name = std::move(name);
    return access.identities.back();
  }

  static std::unique_ptr<grpc::ClientContext> With(const std::string& token) {
    auto context = Context();
    context->AddMetadata("authorization", "Bearer " + token);
    return context;
  }

  grpc::Status Submit(std::unique_ptr<grpc::ClientContext> context,
                      v1::SubmitRequest request = Message()) {
    v1::SubmitReceipt receipt;
    return delivery_stub->Submit(context.get(), request, &receipt);
  }

  std::uint64_t Denied(const std::string& method, const std::string& reason) {
    return registry
        .AddCounter("postern_rpc_denied_total", "", {{"method", method}, {"reason", reason}})
        .value();
  }
};

TEST_F(AccessTest, EveryoneMayEverythingWithoutIdentities) {
  Start();
  EXPECT_TRUE(Submit(Context()).ok());
  EXPECT_TRUE(Submit(With("whatever")).ok());
}

TEST_F(AccessTest, AnUnknownTokenIsNobodyEvenWhereTheirPlaceWouldDo) {
  IdentitySpec& local = Add("local");
  local.loopback_peers = true;
  local.rights = Rights::Everything();
  Start();
  EXPECT_TRUE(Submit(Context()).ok());
  const grpc::Status status = Submit(With("not-the-right-token"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Denied("Delivery.Submit", "unauthenticated"), 1u);
}

TEST_F(AccessTest, ATokenIsCheckedToItsLastCharacter) {
  IdentitySpec& mailer = Add("mailer");
  mailer.token = kToken;
  mailer.rights.submit.emplace();
  Start();
  EXPECT_TRUE(Submit(With(kToken)).ok());
  EXPECT_EQ(Submit(With("0123456789abcdeX")).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Submit(With("0123456789abcde")).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Submit(Context()).error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(AccessTest, EachSubmissionOfAStreamIsJudgedOnItsOwn) {
  IdentitySpec& mailer = Add("mailer");
  mailer.token = kToken;
  mailer.rights.submit.emplace();
  mailer.rights.submit->sender_domains = {"a.example"};
  Start();
  const auto context = With(kToken);
  const auto stream = delivery_stub->SubmitStream(context.get());
  v1::SubmitStreamRequest frame;
  *frame.add_submissions() = Message("s@a.example");
  *frame.add_submissions() = Message("s@evil.example");
  *frame.add_submissions() = Message("t@a.example");
  ASSERT_TRUE(stream->Write(frame));
  stream->WritesDone();
  std::vector<int> codes;
  v1::SubmitStreamResponse response;
  while (stream->Read(&response)) {
    for (const v1::SubmitResult& result : response.results())
      codes.push_back(result.error().code());
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(codes, (std::vector<int>{0, grpc::StatusCode::PERMISSION_DENIED, 0}));
  EXPECT_EQ(Denied("Delivery.SubmitStream", "submit"), 1u);
}

TEST_F(AccessTest, MessagesOfOthersAreNotThere) {
  for (const char* name : {"red", "blue"}) {
    IdentitySpec& identity = Add(name);
    identity.token = std::string(kToken) + name;
    mail::Row row;
    row.message_id = base::NewId(absl::Now());
    row.submitter = name;
    messages.messages.push_back({{row}});
  }
  Start();
  v1::GetMessageRequest request;
  v1::Message message;
  request.set_message_id(messages.messages[0].rows[0].message_id.ToString());
  auto red = With(std::string(kToken) + "red");
  EXPECT_TRUE(delivery_stub->GetMessage(red.get(), request, &message).ok());
  auto blue = With(std::string(kToken) + "blue");
  EXPECT_EQ(delivery_stub->GetMessage(blue.get(), request, &message).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(AccessTest, WhoMayOnlySubmitIsNotShownWhoDecidesAboutWhat) {
  for (const char* name : {"mailer", "watcher"}) {
    Add(name).token = std::string(kToken) + name;
    access.identities.back().rights.submit.emplace();
  }
  access.identities.back().rights.watch.emplace();
  Start();
  bridge::AttachRequest attach;
  attach.provider = "policy";
  attach.filter.domains = {"secret.example"};
  const auto session = bridge->Attach(std::move(attach), std::make_shared<NobodyReads>());
  ASSERT_TRUE(session.ok());
  bridge::SwitchState off;
  off.provider = "policy";
  off.position = bridge::SwitchPosition::kOff;
  off.by = "the operator";
  off.reason = "why";
  ASSERT_TRUE(bridge->policy_switch().Set(std::move(off)).ok());
  for (const bool sees : {false, true}) {
    auto context = With(std::string(kToken) + (sees ? "watcher" : "mailer"));
    v1::ListProvidersResponse response;
    ASSERT_TRUE(hooks_stub->ListProviders(context.get(), {}, &response).ok());
    ASSERT_EQ(response.remote_size(), 1);
    EXPECT_EQ(response.remote(0).name(), "policy");
    EXPECT_EQ(response.remote(0).position(), v1::POLICY_SWITCH_OFF);
    EXPECT_EQ(response.remote(0).has_filter(), sees);
    EXPECT_EQ(response.remote(0).streams_size(), sees ? 1 : 0);
    ASSERT_EQ(response.switches_size(), 1);
    EXPECT_EQ(response.switches(0).position(), v1::POLICY_SWITCH_OFF);
    EXPECT_EQ(response.switches(0).has_provenance(), sees);
  }
}

TEST_F(AccessTest, AnIdentityHasSoManyStreamsAndNoMore) {
  IdentitySpec& watcher = Add("watcher");
  watcher.token = kToken;
  watcher.rights.watch.emplace();
  access.max_streams_per_identity = 2;
  Start();
  const auto open = [this](grpc::ClientContext* context) {
    v1::WatchRequest request;
    request.set_snapshot(true);
    return hooks_stub->Watch(context, request);
  };
  v1::WatchResponse frame;
  auto c1 = With(kToken), c2 = With(kToken), c3 = With(kToken), c4 = With(kToken);
  const auto first = open(c1.get());
  ASSERT_TRUE(first->Read(&frame));
  const auto second = open(c2.get());
  ASSERT_TRUE(second->Read(&frame));
  const auto third = open(c3.get());
  EXPECT_FALSE(third->Read(&frame));
  const grpc::Status status = third->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "max_streams_per_identity"));
  c1->TryCancel();
  while (first->Read(&frame)) {
  }
  first->Finish();
  // The place is free once the server has noticed.
  for (bool free = false; !free;) {
    auto context = With(kToken);
    const auto next = open(context.get());
    free = next->Read(&frame);
    context->TryCancel();
    while (next->Read(&frame)) {
    }
    next->Finish();
  }
  c2->TryCancel();
  while (second->Read(&frame)) {
  }
  second->Finish();
}

TEST_F(AccessTest, AStreamOfOutcomesTakesAPlaceToo) {
  Add("books").token = kToken;
  access.identities.back().rights.watch.emplace();
  access.max_streams_per_identity = 1;
  Start();
  outcomes.Record([] {
    mail::Row row;
    row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"b.example", "default"});
    row.recipients.push_back({"r@b.example", mail::Disposition::kDelivered, nullptr});
    row.submitter = "books";
    return row;
  }());
  auto context = With(kToken);
  const auto stream = delivery_stub->Outcomes(context.get());
  v1::OutcomesRequest request;
  request.mutable_start();
  ASSERT_TRUE(stream->Write(request));
  v1::OutcomesResponse response;
  ASSERT_TRUE(stream->Read(&response));
  auto second = With(kToken);
  const auto watch = hooks_stub->Watch(second.get(), {});
  v1::WatchResponse frame;
  EXPECT_FALSE(watch->Read(&frame));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  stream->WritesDone();
  while (stream->Read(&response)) continue;
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(AccessTest, OneThatHasNotStartedTakesAPlaceToo) {
  Add("books").token = kToken;
  access.max_streams_per_identity = 1;
  limits.attach = absl::Hours(1);
  Start();
  auto first = With(kToken);
  const auto silent = delivery_stub->Outcomes(first.get());
  base::Gauge& calls =
      registry.AddGauge("postern_rpc_in_flight", "", {{"method", "Delivery.Outcomes"}});
  while (calls.value() < 1) std::this_thread::yield();
  auto second = With(kToken);
  const auto one_more = delivery_stub->Outcomes(second.get());
  v1::OutcomesResponse response;
  EXPECT_FALSE(one_more->Read(&response));
  const grpc::Status status = one_more->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "max_streams_per_identity"));
  first->TryCancel();
  silent->Finish();
}

TEST_F(AccessTest, NewIdentitiesHoldForNewCalls) {
  Add("mailer").token = kToken;
  Start();
  EXPECT_EQ(Submit(With(kToken)).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  AccessOptions wider = access;
  wider.identities[0].rights.submit.emplace();
  server->ReplaceAccess(wider);
  EXPECT_TRUE(Submit(With(kToken)).ok());
}

}  // namespace
}  // namespace postern::rpc

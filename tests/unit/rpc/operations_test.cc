#include "server/rpc/convert.h"
#include "server/rpc/convert_operations.h"
#include "tests/unit/rpc/fixture.h"
#include "tests/unit/rpc/log_lines.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;

class OperationsTest : public RpcTest {
 protected:
  static v1::SuspendRequest Suspension() {
    v1::SuspendRequest request;
    request.mutable_scope()->set_domain("*.Example.net");
    request.mutable_scope()->set_binding("default");
    request.set_reason("maintenance");
    request.mutable_duration()->set_seconds(60);
    return request;
  }
  grpc::Status Suspend(const v1::SuspendRequest& request) {
    v1::SuspendResponse response;
    return control_stub->Suspend(Context().get(), request, &response);
  }
  void ExpectInvalid(const grpc::Status& status, const std::string& field) {
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(FieldOf(status.error_message()), field);
  }
};

TEST_F(OperationsTest, SuspendPassesOnScopeReasonAndEnd) {
  Start();
  v1::SuspendResponse response;
  ASSERT_TRUE(control_stub->Suspend(Context().get(), Suspension(), &response).ok());
  EXPECT_EQ(response.queues(), 3U);
  EXPECT_EQ(operations.Seen(&FakeOperations::hold_).scope,
            (mail::Scope{"*.example.net", "default"}));
  EXPECT_EQ(operations.Seen(&FakeOperations::hold_).who, "local");
  EXPECT_EQ(operations.Seen(&FakeOperations::hold_).reason, "maintenance");
  EXPECT_LT(operations.Seen(&FakeOperations::hold_).until, clock.Now() + absl::Seconds(61));
}

TEST_F(OperationsTest, SuspendNamesTheFieldAtFault) {
  Start();
  v1::SuspendRequest request = Suspension();
  request.mutable_scope()->clear_domain();
  ExpectInvalid(Suspend(request), "scope.domain");
  request = Suspension();
  request.mutable_scope()->set_domain("a*b");
  ExpectInvalid(Suspend(request), "scope.domain");
  request = Suspension();
  request.clear_reason();
  ExpectInvalid(Suspend(request), "reason");
  request.set_reason(std::string(257, 'x'));
  ExpectInvalid(Suspend(request), "reason");
  request = Suspension();
  request.mutable_duration()->set_seconds(0);
  ExpectInvalid(Suspend(request), "duration");
  request = Suspension();
  request.mutable_scope()->set_domain("site:big");
  EXPECT_EQ(Suspend(request).error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(OperationsTest, ResumeNamesWhatRemains) {
  mail::Hold wider;
  wider.scope = {"*", ""};
  wider.who = "ops";
  wider.reason = "all of it";
  operations.holds = {wider};
  Start();
  v1::ResumeRequest request;
  request.mutable_scope()->set_domain("a.test");
  v1::ResumeResponse response;
  ASSERT_TRUE(control_stub->Resume(Context().get(), request, &response).ok());
  EXPECT_EQ(response.queues(), 3U);
  ASSERT_EQ(response.remaining_size(), 1);
  EXPECT_EQ(response.remaining(0).scope().domain(), "*");
  EXPECT_EQ(response.remaining(0).kind(), v1::REQUEUE_REASON_SUSPENDED);
  EXPECT_FALSE(response.remaining(0).has_until());
}

TEST_F(OperationsTest, ListQueuesShowsWhatIsInForce) {
  mail::Hold hold;
  hold.kind = mail::Hold::Kind::kPolicy;
  hold.scope = {"a.test", "default"};
  hold.who = "warmup";
  hold.until = clock.Now() + absl::Minutes(5);
  operations.holds = {hold};
  delivery::QueueInfo queue;
  queue.pair = {"a.test", "default"};
  queue.active = 1;
  queue.hold = hold;
  control.queues = {queue};
  Start();
  v1::ListQueuesResponse page;
  ASSERT_TRUE(control_stub->ListQueues(Context().get(), {}, &page).ok());
  ASSERT_EQ(page.suspensions_size(), 1);
  EXPECT_EQ(page.suspensions(0).who(), "warmup");
  EXPECT_FALSE(page.queues(0).suspended()) << "a policy hold is none";
  EXPECT_EQ(page.queues(0).reason(), v1::REQUEUE_REASON_POLICY_HOLD);
  EXPECT_EQ(page.queues(0).suspension().kind(), v1::REQUEUE_REASON_POLICY_HOLD);
}

TEST_F(OperationsTest, FlushNeedsAScopeOrAMessage) {
  Start();
  v1::FlushRequest request;
  v1::FlushResponse response;
  ExpectInvalid(control_stub->Flush(Context().get(), request, &response), "scope.domain");
  const base::Id id = base::NewId(absl::Now());
  request.set_message_id(id.ToString());
  ASSERT_TRUE(control_stub->Flush(Context().get(), request, &response).ok());
  EXPECT_EQ(operations.Seen(&FakeOperations::id_), id);
  EXPECT_EQ(operations.Seen(&FakeOperations::scope_).domain, "*");
  EXPECT_EQ(response.rows(), 3U);
}

TEST_F(OperationsTest, FailRecordsAPermanentReplyOnly) {
  Start();
  v1::FailRequest request;
  request.mutable_scope()->set_domain("a.test");
  request.set_dry_run(true);
  v1::FailResponse response;
  ASSERT_TRUE(control_stub->Fail(Context().get(), request, &response).ok());
  EXPECT_TRUE(operations.Seen(&FakeOperations::flag_));
  EXPECT_EQ(operations.Seen(&FakeOperations::reply_).ToString(), "550 5.7.1 failed by an operator");
  request.mutable_reply()->set_code(451);
  ExpectInvalid(control_stub->Fail(Context().get(), request, &response), "reply.code");
  request.mutable_reply()->set_code(554);
  request.mutable_reply()->set_text("gone");
  ASSERT_TRUE(control_stub->Fail(Context().get(), request, &response).ok());
  EXPECT_EQ(operations.Seen(&FakeOperations::reply_).ToString(), "554 gone");
}

TEST_F(OperationsTest, ReroutePassesOnTheBinding) {
  Start();
  v1::RerouteRequest request;
  v1::RerouteResponse response;
  ExpectInvalid(control_stub->Reroute(Context().get(), request, &response), "scope.domain");
  request.mutable_scope()->set_domain("*");
  request.mutable_scope()->set_binding("default");
  request.set_to_binding("pool-1");
  ASSERT_TRUE(control_stub->Reroute(Context().get(), request, &response).ok());
  EXPECT_EQ(operations.Seen(&FakeOperations::reason_), "pool-1");
  EXPECT_EQ(response.rows(), 3U);
}

TEST_F(OperationsTest, ShutdownConnectionTellsWhenThereIsNone) {
  operations.status = absl::NotFoundError("connection_id: no session");
  Start();
  v1::ShutdownConnectionRequest request;
  v1::ShutdownConnectionResponse response;
  ExpectInvalid(control_stub->ShutdownConnection(Context().get(), request, &response),
                "connection_id");
  request.set_connection_id(base::NewId(absl::Now()).ToString());
  request.set_now(true);
  EXPECT_EQ(control_stub->ShutdownConnection(Context().get(), request, &response).error_code(),
            StatusCode::NOT_FOUND);
  EXPECT_TRUE(operations.Seen(&FakeOperations::flag_));
}

TEST_F(OperationsTest, CancelAndResolvePassOnWhatTheyAreGiven) {
  const base::Id id = base::NewId(absl::Now());
  mail::Row row;
  row.message_id = id;
  row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"a.test", "default"});
  messages.messages.push_back({{row}});
  Start();
  v1::CancelMessageRequest cancel;
  cancel.set_message_id(base::NewId(absl::Now()).ToString());
  v1::Message none;
  EXPECT_EQ(delivery_stub->CancelMessage(Context().get(), cancel, &none).error_code(),
            StatusCode::NOT_FOUND);
  cancel.set_message_id(id.ToString());
  cancel.add_recipients("r@a.test");
  cancel.set_reason("mistake");
  v1::Message message;
  ASSERT_TRUE(delivery_stub->CancelMessage(Context().get(), cancel, &message).ok());
  EXPECT_EQ(operations.Seen(&FakeOperations::recipients_), std::vector<std::string>{"r@a.test"});
  EXPECT_EQ(operations.Seen(&FakeOperations::reason_), "mistake");
  v1::ResolveMessageRequest resolve;
  resolve.set_message_id(id.ToString());
  ExpectInvalid(delivery_stub->ResolveMessage(Context().get(), resolve, &message), "resolution");
  resolve.set_resolution(v1::IN_DOUBT_RESOLUTION_FAIL);
  resolve.set_domain("A.test");
  ASSERT_TRUE(delivery_stub->ResolveMessage(Context().get(), resolve, &message).ok());
  EXPECT_EQ(operations.Seen(&FakeOperations::resolution_), delivery::Resolution::kFail);
  EXPECT_EQ(operations.Seen(&FakeOperations::reason_), "a.test");
}

// ---- audit lines ----

TEST_F(OperationsTest, EveryCallThatIsNoListLeavesOneAuditLine) {
  const LogLines log;
  limits.drain_progress = absl::Milliseconds(1);
  Start();
  v1::DrainProgress progress;
  v1::DrainRequest drain;
  drain.mutable_budget()->set_seconds(3);
  auto context = Context();
  auto reader = control_stub->Drain(context.get(), drain);
  while (reader->Read(&progress)) continue;
  EXPECT_TRUE(reader->Finish().ok());
  drain.mutable_budget()->set_seconds(7200);
  auto refused_context = Context();
  auto refused = control_stub->Drain(refused_context.get(), drain);
  EXPECT_FALSE(refused->Read(&progress));
  refused->Finish();
  v1::GetConfigResponse config;
  control_stub->GetConfig(Context().get(), {}, &config);
  v1::ApplyConfigRequest apply;
  apply.set_reason("later");
  v1::ApplyConfigResponse applied;
  control_stub->ApplyConfig(Context().get(), apply, &applied);
  v1::SetPolicySwitchRequest policy_switch;
  policy_switch.set_reason("x\"\naudit call=Control.Fail who=\"operator\"");
  v1::SetPolicySwitchResponse switched;
  control_stub->SetPolicySwitch(Context().get(), policy_switch, &switched);
  policy_switch.set_position(v1::POLICY_SWITCH_OFF);
  EXPECT_TRUE(control_stub->SetPolicySwitch(Context().get(), policy_switch, &switched).ok());
  v1::ListQueuesResponse queues;
  EXPECT_TRUE(control_stub->ListQueues(Context().get(), {}, &queues).ok());
  server.reset();

  std::vector<std::string> lines = log.With("audit call=");
  std::erase_if(lines, [](const std::string& line) { return line.rfind("audit call=", 0) != 0; });
  ASSERT_EQ(lines.size(), 6U);
  const std::string who = "who=\"local\" from=\"loopback ipv4:127.0.0.1:";
  const std::vector<std::vector<std::string>> parts = {
      {"audit call=Control.Drain ", "outcome=OK", "sessions have 3s to end"},
      {"audit call=Control.Drain ", "outcome=INVALID_ARGUMENT", "budget"},
      {"audit call=Control.GetConfig ", "outcome=UNIMPLEMENTED"},
      {"audit call=Control.ApplyConfig ", "reason=\"later\"", "outcome=INVALID_ARGUMENT", "what: "},
      {"audit call=Control.SetPolicySwitch ", "outcome=INVALID_ARGUMENT", "position"},
      {"audit call=Control.SetPolicySwitch ", "on=\"all\"", "outcome=OK", "POLICY_SWITCH_OFF",
       "reason=\"x\\\"\\naudit call=Control.Fail"},
  };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].find('\n'), std::string::npos) << "a line of a stranger's";
    EXPECT_NE(lines[i].find(who), std::string::npos) << lines[i];
    for (const std::string& part : parts[i]) {
      EXPECT_NE(lines[i].find(part), std::string::npos) << part << " in " << lines[i];
    }
  }
}

TEST_F(OperationsTest, FailWithoutBouncesIsNotServedAndSaysSoInTheAudit) {
  const LogLines log;
  Start();
  v1::FailRequest request;
  request.mutable_scope()->set_domain("a.test");
  request.set_silent(true);
  v1::FailResponse response;
  const grpc::Status status = control_stub->Fail(Context().get(), request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(FieldOf(status.error_message()), "silent");
  server.reset();
  const std::vector<std::string> lines = log.With("audit call=Control.Fail ");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("outcome=UNIMPLEMENTED"), std::string::npos);
}

}  // namespace
}  // namespace postern::rpc

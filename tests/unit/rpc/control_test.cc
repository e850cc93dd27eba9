#include <grpcpp/generic/generic_stub.h>

#include <thread>

#include "absl/strings/match.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/rpc/convert.h"
#include "server/rpc/listener.h"
#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;
using Health = grpc::health::v1::Health;
using HealthRequest = grpc::health::v1::HealthCheckRequest;
using HealthResponse = grpc::health::v1::HealthCheckResponse;

class ControlTest : public RpcTest {
 protected:
  delivery::QueueInfo QueueOf(std::string domain) {
    delivery::QueueInfo queue;
    queue.pair = {std::move(domain), "default"};
    queue.active = 2;
    queue.in_session = 1;
    queue.waiting_for = mail::RequeueReason::kHostBackoff;
    return queue;
  }
  // What the server as a whole answers.
  HealthResponse::ServingStatus Check(const std::string& service = "") {
    HealthRequest request;
    request.set_service(service);
    HealthResponse response;
    const grpc::Status status =
        Health::NewStub(channel)->Check(Context().get(), request, &response);
    return status.ok() ? response.status() : HealthResponse::UNKNOWN;
  }
};

TEST_F(ControlTest, ListQueuesSortsFiltersAndPages) {
  control.queues = {QueueOf("c.example"), QueueOf("a.example"), QueueOf("b.test"),
                    QueueOf("b.example")};
  Start();
  v1::ListQueuesRequest request;
  request.mutable_filter()->add_domains("*.example");
  request.set_page_size(2);
  v1::ListQueuesResponse page;
  ASSERT_TRUE(control_stub->ListQueues(Context().get(), request, &page).ok());
  ASSERT_EQ(page.queues_size(), 2);
  EXPECT_EQ(page.queues(0).domain(), "a.example");
  EXPECT_EQ(page.queues(0).active(), 3U) << "rows in a session are due";
  EXPECT_EQ(page.queues(0).reason(), v1::REQUEUE_REASON_HOST_BACKOFF);
  EXPECT_EQ(page.queues(1).domain(), "b.example");
  request.set_page_token(page.next_page_token());
  page.Clear();
  ASSERT_TRUE(control_stub->ListQueues(Context().get(), request, &page).ok());
  ASSERT_EQ(page.queues_size(), 1);
  EXPECT_EQ(page.queues(0).domain(), "c.example");
  EXPECT_EQ(page.next_page_token(), "");
}

TEST_F(ControlTest, ListQueuesGivesTheReasonThatDeliveryGives) {
  const std::pair<mail::RequeueReason, v1::RequeueReason> reasons[] = {
      {mail::RequeueReason::kConnectFailed, v1::REQUEUE_REASON_CONNECT_FAILED},
      {mail::RequeueReason::kMxLookup, v1::REQUEUE_REASON_MX_LOOKUP},
      {mail::RequeueReason::kHostBackoff, v1::REQUEUE_REASON_HOST_BACKOFF},
      {mail::RequeueReason::kLocalFault, v1::REQUEUE_REASON_LOCAL_FAULT},
      {mail::RequeueReason::kThrottled, v1::REQUEUE_REASON_THROTTLED},
      {mail::RequeueReason::kSessionEnded, v1::REQUEUE_REASON_SESSION_ENDED},
  };
  for (const auto& [reason, unused] : reasons) {
    control.queues.push_back(QueueOf(absl::StrCat("q", control.queues.size(), ".example")));
    control.queues.back().waiting_for = reason;
  }
  control.queues.push_back(QueueOf("r.example"));
  control.queues.back().waiting_for.reset();
  Start();
  v1::ListQueuesResponse page;
  ASSERT_TRUE(control_stub->ListQueues(Context().get(), {}, &page).ok());
  ASSERT_EQ(page.queues_size(), 7);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(page.queues(i).reason(), reasons[i].second);
  EXPECT_EQ(page.queues(6).reason(), v1::REQUEUE_REASON_UNSPECIFIED);
}

TEST_F(ControlTest, ListQueuesNamesABadGlob) {
  Start();
  v1::ListQueuesRequest request;
  request.mutable_filter()->add_domains("ok.example");
  request.mutable_filter()->add_domains("a*b");
  v1::ListQueuesResponse page;
  const grpc::Status status = control_stub->ListQueues(Context().get(), request, &page);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FieldOf(status.error_message()), "filter.domains[1]");
}

TEST_F(ControlTest, ListConnectionsTellsStateAndStage) {
  delivery::ConnectionEntry entry;
  entry.info.id = base::NewId(absl::Now());
  entry.info.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"a.example", "default"});
  entry.phase = "rcpt";
  entry.opened = absl::Now() - absl::Seconds(5);
  entry.deliveries = 3;
  control.connections = {entry};
  Start();
  v1::ListConnectionsResponse page;
  ASSERT_TRUE(control_stub->ListConnections(Context().get(), {}, &page).ok());
  ASSERT_EQ(page.connections_size(), 1);
  EXPECT_EQ(page.connections(0).connection().connection_id(), entry.info.id.ToString());
  EXPECT_EQ(page.connections(0).state(), v1::CONNECTION_STATE_TRANSACTION);
  EXPECT_EQ(page.connections(0).stage(), v1::SMTP_STAGE_RCPT);
  EXPECT_GE(page.connections(0).age().seconds(), 5);
  EXPECT_EQ(page.connections(0).deliveries(), 3U);
}

TEST_F(ControlTest, ListConnectionsKnowsEveryPhase) {
  struct Phase {
    const char* phase;
    v1::ConnectionState state;
    v1::SmtpStage stage;
  };
  const Phase phases[] = {
      {"lookup", v1::CONNECTION_STATE_DIALING, v1::SMTP_STAGE_UNSPECIFIED},
      {"connect", v1::CONNECTION_STATE_DIALING, v1::SMTP_STAGE_CONNECT},
      {"starttls", v1::CONNECTION_STATE_HANDSHAKE, v1::SMTP_STAGE_STARTTLS},
      {"auth", v1::CONNECTION_STATE_HANDSHAKE, v1::SMTP_STAGE_AUTH},
      {"quit", v1::CONNECTION_STATE_CLOSING, v1::SMTP_STAGE_QUIT},
  };
  for (const Phase& each : phases) {
    delivery::ConnectionEntry entry;
    entry.info.id = base::NewId(absl::UnixEpoch() + absl::Hours(control.connections.size()));
    entry.info.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"a.example", "default"});
    entry.phase = each.phase;
    control.connections.push_back(entry);
  }
  Start();
  v1::ListConnectionsResponse page;
  ASSERT_TRUE(control_stub->ListConnections(Context().get(), {}, &page).ok());
  ASSERT_EQ(page.connections_size(), 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(page.connections(i).state(), phases[i].state) << phases[i].phase;
    EXPECT_EQ(page.connections(i).stage(), phases[i].stage) << phases[i].phase;
  }
}

TEST_F(ControlTest, DrainTellsProgressUntilItIsDone) {
  limits.drain_progress = absl::Milliseconds(1);
  Start();
  EXPECT_EQ(Check(), HealthResponse::SERVING);
  auto watch_context = Context();
  auto watch = Health::NewStub(channel)->Watch(watch_context.get(), HealthRequest());
  HealthResponse health;
  ASSERT_TRUE(watch->Read(&health));
  EXPECT_EQ(health.status(), HealthResponse::SERVING);

  v1::DrainRequest request;
  request.mutable_budget()->set_seconds(3);
  auto context = Context();
  auto stream = control_stub->Drain(context.get(), request);
  v1::DrainProgress progress;
  ASSERT_TRUE(stream->Read(&progress));
  EXPECT_EQ(progress.phase(), v1::DRAIN_PHASE_DRAINING);
  EXPECT_EQ(progress.open_connections(), 2U);
  while (stream->Read(&progress)) {
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(progress.phase(), v1::DRAIN_PHASE_DONE);
  EXPECT_EQ(control.budget(), absl::Seconds(3));

  ASSERT_TRUE(watch->Read(&health));
  EXPECT_EQ(health.status(), HealthResponse::NOT_SERVING);
  EXPECT_EQ(Check(), HealthResponse::NOT_SERVING);
  EXPECT_EQ(Check("postern.v1.Control"), HealthResponse::SERVING);
  watch_context->TryCancel();
  watch->Finish();
}

TEST_F(ControlTest, DrainRefusesABudgetOutOfBounds) {
  Start();
  v1::DrainRequest request;
  request.mutable_budget()->set_seconds(3601);
  auto context = Context();
  auto stream = control_stub->Drain(context.get(), request);
  v1::DrainProgress progress;
  EXPECT_FALSE(stream->Read(&progress));
  EXPECT_EQ(FieldOf(stream->Finish().error_message()), "budget");
  EXPECT_EQ(control.budget(), std::nullopt);
}

TEST_F(ControlTest, HealthKnowsItsServices) {
  Start();
  EXPECT_EQ(Check("postern.v1.Delivery"), HealthResponse::SERVING);
  EXPECT_EQ(Check("postern.v1.Hooks"), HealthResponse::SERVING);
  HealthRequest request;
  request.set_service("no.such.Service");
  HealthResponse response;
  EXPECT_EQ(Health::NewStub(channel)->Check(Context().get(), request, &response).error_code(),
            StatusCode::NOT_FOUND);
  auto context = Context();
  auto watch = Health::NewStub(channel)->Watch(context.get(), request);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthResponse::SERVICE_UNKNOWN);
  context->TryCancel();
  watch->Finish();
}

TEST_F(ControlTest, UnixSocketServes) {
  listeners = {{absl::StrCat("unix:", testing::TempDir(), "postern-rpc-test-", getpid(), ".sock")}};
  Start();
  EXPECT_EQ(Check(), HealthResponse::SERVING);
}

TEST(ListenerTest, PlaintextBeyondLoopbackNeedsTheWord) {
  for (const char* address : {"127.0.0.1:9090", "[::1]:0", "localhost:1", "unix:/tmp/x"}) {
    EXPECT_TRUE(CheckListener({address}).ok()) << address;
  }
  for (const char* address : {"0.0.0.0:9090", "[::]:9090", "192.0.2.1:1", "mail.example:1"}) {
    EXPECT_FALSE(CheckListener({address}).ok()) << address;
    EXPECT_TRUE(CheckListener({address, true}).ok()) << address;
  }
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:x", ":1", "127.0.0.1:70000", "unix:"}) {
    EXPECT_FALSE(CheckListener({address, true}).ok()) << address;
  }
}

TEST(ListenerTest, WhoReachesTheServiceUnaskedIsWarnedOf) {
  const TlsOptions anyone{"certificate", "key", "", false};
  const TlsOptions known{"certificate", "key", "ca", true};
  EXPECT_TRUE(absl::StrContains(ExposureWarning({"192.0.2.1:1", true}, true), "plaintext"));
  EXPECT_TRUE(absl::StrContains(ExposureWarning({"192.0.2.1:1", true}, false), "plaintext"));
  EXPECT_TRUE(absl::StrContains(ExposureWarning({"192.0.2.1:1", true, anyone}, true),
                                "192.0.2.1:1 asks no client for a certificate"));
  EXPECT_EQ(ExposureWarning({"192.0.2.1:1", true, anyone}, false), "") << "tokens tell who calls";
  EXPECT_EQ(ExposureWarning({"192.0.2.1:1", false, known}, true), "");
  EXPECT_EQ(ExposureWarning({"127.0.0.1:1", false, anyone}, true), "");
  EXPECT_EQ(ExposureWarning({"127.0.0.1:1"}, true), "");
  EXPECT_EQ(ExposureWarning({"unix:/tmp/x"}, true), "");
}

TEST(ConvertTest, TextOfPeersBecomesUtf8) {
  EXPECT_EQ(Utf8("plain"), "plain");
  EXPECT_EQ(Utf8("caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(Utf8("\xFF\xC3"), "??");
  EXPECT_EQ(Utf8("\xED\xA0\x80"), "???") << "a surrogate";
  EXPECT_EQ(Utf8("\xC0\xAF"), "??") << "overlong";
  EXPECT_EQ(Utf8("caf\xC3\xA9", 4), "caf") << "never half a character";
}

TEST(ConvertTest, ErrorsNameTheirField) {
  EXPECT_EQ(FieldOf("recipients[1]: no domain"), "recipients[1]");
  EXPECT_EQ(FieldOf("attach.filter.domains[2]: empty"), "attach.filter.domains[2]");
  EXPECT_EQ(FieldOf("The spool: is full"), "");
  EXPECT_EQ(FieldOf("draining"), "");
}

}  // namespace
}  // namespace postern::rpc

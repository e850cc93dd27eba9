#include <grpcpp/generic/generic_stub.h>

#include <thread>

#include "server/rpc/convert.h"
#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;

// A client of Decide.
struct Client {
  explicit Client(v1::Hooks::Stub& stub, std::unique_ptr<grpc::ClientContext> ctx)
      : context(std::move(ctx)), stream(stub.Decide(context.get())) {}

  bool Attach(const std::string& provider) {
    v1::DecideRequest frame;
    frame.mutable_attach()->set_provider(provider);
    return stream->Write(frame);
  }
  // The next frame that is no heartbeat; an empty one at the end.
  v1::DecideResponse Next() {
    v1::DecideResponse frame;
    while (stream->Read(&frame)) {
      if (!frame.has_heartbeat()) return frame;
    }
    return {};
  }
  v1::Question NextQuestion() {
    for (;;) {
      const v1::DecideResponse frame = Next();
      if (frame.has_questions()) return frame.questions().questions(0);
      if (frame.frame_case() == v1::DecideResponse::FRAME_NOT_SET) return {};
    }
  }
  v1::VerdictResult NextResult() {
    for (;;) {
      const v1::DecideResponse frame = Next();
      if (frame.has_verdict_results()) return frame.verdict_results().results(0);
      if (frame.frame_case() == v1::DecideResponse::FRAME_NOT_SET) return {};
    }
  }
  v1::Verdict* Answer(v1::DecideRequest* frame, const v1::Question& question,
                      v1::Decision decision) {
    v1::Verdict* verdict = frame->mutable_verdicts()->add_verdicts();
    verdict->set_verdict_id(++last_id);
    verdict->mutable_question()->set_connection_id(question.connection_id());
    verdict->mutable_question()->set_number(question.number());
    verdict->set_decision(decision);
    return verdict;
  }
  // Reads to the end.
  grpc::Status End() {
    while (Next().frame_case() != v1::DecideResponse::FRAME_NOT_SET) {
    }
    return stream->Finish();
  }

  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::DecideRequest, v1::DecideResponse>> stream;
  std::uint64_t last_id = 0;
};

class DecideTest : public RpcTest {
 protected:
  Client Open() { return Client(*hooks_stub, Context()); }
  Client Attached(const std::string& provider) {
    Client client = Open();
    EXPECT_TRUE(client.Attach(provider));
    EXPECT_TRUE(client.Next().has_attached());
    return client;
  }
  // What ends a stream whose first frame is `frame`.
  grpc::Status EndOf(const v1::DecideRequest& frame) {
    Client client = Open();
    client.stream->Write(frame);
    return client.End();
  }
  bridge::ProviderStatus StatusOf(const std::string& name) {
    for (const bridge::ProviderStatus& status : bridge->ListProviders()) {
      if (status.name == name) return status;
    }
    return {};
  }
};

TEST_F(DecideTest, AttachIsAnsweredWithWhatIsInForce) {
  Start();
  Client client = Open();
  v1::DecideRequest frame;
  v1::Attach* attach = frame.mutable_attach();
  attach->set_provider("warmup");
  attach->set_priority(1000);
  attach->mutable_timeout()->set_seconds(60);
  attach->add_kinds(v1::EVENT_KIND_CONNECTION_CLOSED);
  attach->mutable_filter()->add_domains("*.Example");
  ASSERT_TRUE(client.stream->Write(frame));
  const v1::DecideResponse answer = client.Next();
  ASSERT_TRUE(answer.has_attached());
  const v1::Attached& attached = answer.attached();
  EXPECT_EQ(attached.epoch(), bridge->epoch());
  EXPECT_EQ(attached.priority(), 100);
  EXPECT_EQ(attached.timeout().seconds(), 5);
  EXPECT_EQ(attached.mode(), v1::DECIDE_MODE_ENFORCE);
  EXPECT_EQ(attached.ask(), v1::ASK_MODE_SYNC);
  EXPECT_EQ(attached.default_verdict(), v1::DEFAULT_VERDICT_KEEP);
  ASSERT_EQ(attached.kinds_size(), 1);
  EXPECT_EQ(attached.kinds(0), v1::EVENT_KIND_CONNECTION_CLOSED);
  EXPECT_EQ(attached.filter().domains(0), "*.example");
  EXPECT_EQ(attached.protocol_version(), 1U);
}

TEST_F(DecideTest, StreamWithoutAttachEndsInTime) {
  limits.attach = absl::Milliseconds(20);
  Start();
  Client client = Open();
  const grpc::Status status = client.End();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FieldOf(status.error_message()), "attach");
}

TEST_F(DecideTest, AttachMustBeFirstAndOnce) {
  Start();
  v1::DecideRequest acknowledge;
  acknowledge.mutable_acknowledge()->set_position(1);
  EXPECT_EQ(EndOf(acknowledge).error_message(), "attach: must be the first frame");
  Client client = Attached("p");
  ASSERT_TRUE(client.Attach("p"));
  const grpc::Status status = client.End();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "attach: came twice");
}

TEST_F(DecideTest, AttachThatCannotBeServedNamesItsField) {
  Start();
  v1::DecideRequest frame;
  frame.mutable_attach()->set_provider("p");
  frame.mutable_attach()->set_default_verdict(v1::DEFAULT_VERDICT_HOLD);
  grpc::Status status = EndOf(frame);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(),
            "attach.default_verdict: DEFAULT_VERDICT_HOLD is not served yet");
  frame.mutable_attach()->clear_default_verdict();
  frame.mutable_attach()->set_provider("No Such Name");
  status = EndOf(frame);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FieldOf(status.error_message()), "attach.provider");
}

TEST_F(DecideTest, FrameOverTheLimitEndsItsStream) {
  Start();
  Client client = Attached("p");
  v1::DecideRequest frame;
  frame.mutable_detach()->set_reason(std::string(300 << 10, 'x'));
  client.stream->Write(frame);
  const grpc::Status status = client.End();
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(status.error_message().find("262144"), std::string::npos) << status.error_message();
}

TEST_F(DecideTest, GarbageEndsItsStreamAndNoOther) {
  Start();
  Client other = Attached("other");
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue cq;
  auto context = Context();
  auto stream = stub.PrepareCall(context.get(), "/postern.v1.Hooks/Decide", &cq);
  const auto wait = [&cq] {
    void* tag = nullptr;
    bool ok = false;
    return cq.Next(&tag, &ok) && ok;
  };
  stream->StartCall(nullptr);
  ASSERT_TRUE(wait());
  const grpc::Slice slice("\xFF\xFF\xFF\xFF");
  const grpc::ByteBuffer garbage(&slice, 1);
  stream->Write(garbage, nullptr);
  ASSERT_TRUE(wait());
  grpc::Status status;
  stream->Finish(&status, nullptr);
  ASSERT_TRUE(wait());
  EXPECT_EQ(status.error_code(), StatusCode::INTERNAL);

  FakeSession session(*bridge);
  session.Connect();
  ASSERT_TRUE(session.Ask());
  EXPECT_EQ(other.NextQuestion().connection_id(), session.info.id.ToString());
}

TEST_F(DecideTest, VerdictOfAClientEndsTheSession) {
  Start();
  Client client = Attached("warmup");
  FakeSession session(*bridge);
  session.Connect();
  ASSERT_TRUE(session.Ask());
  const v1::DecideResponse event = client.Next();
  ASSERT_TRUE(event.has_events()) << "the event precedes the first question";
  const v1::Question question = client.NextQuestion();
  EXPECT_EQ(question.connection_id(), session.info.id.ToString());
  EXPECT_EQ(question.number(), 1U);
  EXPECT_EQ(question.domain(), "a.example");
  EXPECT_EQ(question.disposition(), v1::DISPOSITION_DELIVERED);
  EXPECT_EQ(question.reply().code(), 250);
  EXPECT_GT(question.time_left_ms(), 0U);
  v1::DecideRequest frame;
  client.Answer(&frame, question, v1::DECISION_SHUTDOWN)->set_reason("enough");
  ASSERT_TRUE(client.stream->Write(frame));
  ASSERT_TRUE(session.AwaitWake());
  const hooks::ShutdownVerdict verdict = session.Settle();
  EXPECT_TRUE(verdict.shutdown);
  EXPECT_EQ(verdict.cause, mail::CloseCause::kRemotePolicy);
  EXPECT_EQ(verdict.provider, "warmup");
  EXPECT_EQ(verdict.reason, "enough");
  EXPECT_EQ(client.NextResult().status(), v1::VERDICT_STATUS_APPLIED);
}

TEST_F(DecideTest, VerdictsThatCannotBeUsedAreDeniedByName) {
  Start();
  Client client = Attached("p");
  FakeSession session(*bridge);
  session.Connect();
  struct Case {
    std::string detail;
    void (*make)(v1::Verdict*);
  };
  const Case cases[] = {
      {"scope.site: not served yet", [](v1::Verdict* v) { v->mutable_scope()->set_site("big"); }},
      {"scope.rule: must be set", [](v1::Verdict* v) { v->mutable_scope()->set_domain("*"); }},
      {"scope.domain: must be a domain, \"*.suffix\" or \"*\"",
       [](v1::Verdict* v) { v->mutable_scope()->set_recycle(true); }},
      {"target: must be set", [](v1::Verdict*) {}},
      {"connection.connection_id: must be 32 hexadecimal digits",
       [](v1::Verdict* v) { v->mutable_connection()->set_connection_id("x"); }},
      {"connection.after_deliveries: must be at least 1",
       [](v1::Verdict* v) {
         v->mutable_connection()->set_connection_id(std::string(32, 'a'));
         v->mutable_connection()->set_after_deliveries(0);
       }},
      {"scope.binding: over 1024 bytes",
       [](v1::Verdict* v) {
         v->mutable_scope()->set_domain("*");
         v->mutable_scope()->set_recycle(true);
         v->mutable_scope()->set_binding(std::string(1025, 'b'));
       }},
      // What would be ignored.
      {"then.duration: only with HOLD and AVOID_HOST",
       [](v1::Verdict* v) {
         v->mutable_connection()->set_connection_id(std::string(32, 'a'));
         v->mutable_then()->mutable_duration()->set_seconds(60);
       }},
      {"then.duration: only with HOLD and AVOID_HOST",
       [](v1::Verdict* v) {
         v->mutable_question()->set_connection_id(std::string(32, 'a'));
         v->mutable_question()->set_number(1);
         v->mutable_then()->set_action(v1::THEN_ACTION_RECONNECT);
         v->mutable_then()->mutable_duration()->set_seconds(60);
       }},
      {"then.action: only with SHUTDOWN",
       [](v1::Verdict* v) {
         v->mutable_question()->set_connection_id(std::string(32, 'a'));
         v->mutable_question()->set_number(1);
         v->set_decision(v1::DECISION_KEEP);
         v->mutable_then()->set_action(v1::THEN_ACTION_HOLD);
         v->mutable_then()->mutable_duration()->set_seconds(60);
       }},
      {"then.action: only with SHUTDOWN",
       [](v1::Verdict* v) {
         v->mutable_scope()->set_domain("*");
         v->mutable_scope()->set_recycle(true);
         v->set_decision(v1::DECISION_ABSTAIN);
         v->mutable_then()->set_action(v1::THEN_ACTION_AVOID_HOST);
         v->mutable_then()->mutable_duration()->set_seconds(60);
       }},
      {"connection.after_deliveries: only with SHUTDOWN",
       [](v1::Verdict* v) {
         v->mutable_connection()->set_connection_id(std::string(32, 'a'));
         v->mutable_connection()->set_after_deliveries(3);
         v->set_decision(v1::DECISION_KEEP);
       }},
      {"connection.after_age: only with SHUTDOWN",
       [](v1::Verdict* v) {
         v->mutable_connection()->set_connection_id(std::string(32, 'a'));
         v->mutable_connection()->mutable_after_age()->set_seconds(60);
         v->set_decision(v1::DECISION_ABSTAIN);
       }},
  };
  for (const Case& c : cases) {
    v1::DecideRequest frame;
    v1::Verdict* verdict = frame.mutable_verdicts()->add_verdicts();
    verdict->set_verdict_id(++client.last_id);
    verdict->set_decision(v1::DECISION_SHUTDOWN);
    c.make(verdict);
    ASSERT_TRUE(client.stream->Write(frame));
    const v1::VerdictResult result = client.NextResult();
    EXPECT_EQ(result.verdict_id(), client.last_id);
    EXPECT_EQ(result.status(), v1::VERDICT_STATUS_DENIED);
    EXPECT_EQ(result.detail(), c.detail);
  }
}

TEST_F(DecideTest, VerdictsThatSayNoMoreThanTheyMeanAreTaken) {
  Start();
  FakeSession session(*bridge);
  session.Connect();
  v1::PostVerdictsRequest request;
  request.set_provider("ops");
  const auto add = [&](v1::Decision decision, v1::ThenAction then) -> v1::Verdict& {
    v1::Verdict& verdict = *request.add_verdicts();
    verdict.set_verdict_id(static_cast<std::uint64_t>(request.verdicts_size()));
    verdict.set_decision(decision);
    if (then != v1::THEN_ACTION_UNSPECIFIED) verdict.mutable_then()->set_action(then);
    verdict.mutable_connection()->set_connection_id(session.info.id.ToString());
    return verdict;
  };
  add(v1::DECISION_KEEP, v1::THEN_ACTION_RECONNECT);
  add(v1::DECISION_ABSTAIN, v1::THEN_ACTION_UNSPECIFIED);
  v1::Verdict& verdict = add(v1::DECISION_SHUTDOWN, v1::THEN_ACTION_HOLD);
  verdict.mutable_then()->mutable_duration()->set_seconds(60);
  verdict.mutable_connection()->set_after_deliveries(3);
  v1::PostVerdictsResponse response;
  ASSERT_TRUE(hooks_stub->PostVerdicts(Context().get(), request, &response).ok());
  ASSERT_EQ(response.results_size(), 3);
  for (const v1::VerdictResult& result : response.results()) {
    EXPECT_EQ(result.status(), v1::VERDICT_STATUS_STORED) << result.ShortDebugString();
  }
}

TEST_F(DecideTest, WhatIsUnknownInFramesIsCountedAndIgnored) {
  Start();
  const auto unknown = [this](const char* what, const base::Labels& labels = {}) {
    return registry.AddCounter(absl::StrCat("postern_rpc_unknown_", what, "_total"), "", labels)
        .value();
  };
  const auto fields = [&] { return unknown("fields", {{"method", "Hooks.Decide"}}); };
  const auto add_to = [](google::protobuf::Message* message) {
    message->GetReflection()->MutableUnknownFields(message)->AddVarint(12345, 1);
  };
  Client client = Open();
  v1::DecideRequest frame;
  frame.mutable_attach()->set_provider("p");
  add_to(frame.mutable_attach());
  ASSERT_TRUE(client.stream->Write(frame));
  ASSERT_TRUE(client.Next().has_attached());
  EXPECT_EQ(fields(), 1U);
  frame.Clear();
  add_to(&frame);  // what a later release calls a frame
  ASSERT_TRUE(client.stream->Write(frame));
  frame.Clear();
  v1::Verdict* verdict = frame.mutable_verdicts()->add_verdicts();
  verdict->set_verdict_id(1);
  verdict->set_decision(v1::DECISION_KEEP);
  verdict->mutable_connection()->set_connection_id(std::string(32, 'a'));
  add_to(&frame);
  add_to(frame.mutable_verdicts());
  add_to(verdict);
  add_to(verdict);
  ASSERT_TRUE(client.stream->Write(frame));
  EXPECT_EQ(client.NextResult().status(), v1::VERDICT_STATUS_UNKNOWN);
  EXPECT_EQ(unknown("frames"), 1U);
  EXPECT_EQ(fields(), 5U);
}

TEST_F(DecideTest, ClientThatVanishesIsAnsweredForByTheDefault) {
  Start();
  Client client = Attached("p");
  FakeSession session(*bridge);
  session.Connect();
  ASSERT_TRUE(session.Ask());
  ASSERT_EQ(client.NextQuestion().number(), 1U);
  client.context->TryCancel();
  ASSERT_TRUE(session.AwaitWake());
  EXPECT_FALSE(session.Settle().shutdown);
  const bridge::ProviderStatus status = StatusOf("p");
  EXPECT_EQ(status.defaults[static_cast<std::size_t>(bridge::DefaultCause::kDisconnect)], 1U);
  EXPECT_EQ(client.stream->Finish().error_code(), StatusCode::CANCELLED);
}

TEST_F(DecideTest, DetachEndsTheStreamInGoodOrder) {
  Start();
  for (const bool half_close : {false, true}) {
    Client client = Attached("p");
    v1::DecideRequest frame;
    v1::Verdict* verdict = frame.mutable_verdicts()->add_verdicts();
    verdict->set_verdict_id(1);
    verdict->mutable_connection()->set_connection_id(std::string(32, 'a'));
    verdict->set_decision(v1::DECISION_KEEP);
    ASSERT_TRUE(client.stream->Write(frame));
    if (half_close) {
      client.stream->WritesDone();
    } else {
      frame.Clear();
      frame.mutable_detach()->set_reason("bye");
      ASSERT_TRUE(client.stream->Write(frame));
    }
    EXPECT_EQ(client.NextResult().status(), v1::VERDICT_STATUS_UNKNOWN) << "the last result";
    EXPECT_TRUE(client.End().ok());
  }
}

TEST_F(DecideTest, ClientThatNeverReadsHarmsOnlyItself) {
  Start();
  Client lazy = Open();
  v1::DecideRequest attach;
  attach.mutable_attach()->set_provider("lazy");
  attach.mutable_attach()->set_ask(v1::ASK_MODE_STANDING);
  ASSERT_TRUE(lazy.stream->Write(attach));
  Client busy = Open();
  v1::DecideRequest other;
  other.mutable_attach()->set_provider("busy");
  other.mutable_attach()->mutable_filter()->add_domains("a.example");
  ASSERT_TRUE(busy.stream->Write(other));
  ASSERT_TRUE(busy.Next().has_attached());
  while (StatusOf("lazy").streams.empty()) std::this_thread::yield();
  // More than its buffer and every buffer of the network can take.
  for (int i = 0; i < 60000; ++i) FakeSession(*bridge, "lazy.example").Connect();
  FakeSession session(*bridge);
  session.Connect();
  ASSERT_TRUE(session.Ask());
  const v1::Question question = busy.NextQuestion();
  v1::DecideRequest frame;
  busy.Answer(&frame, question, v1::DECISION_SHUTDOWN);
  ASSERT_TRUE(busy.stream->Write(frame));
  ASSERT_TRUE(session.AwaitWake());
  EXPECT_TRUE(session.Settle().shutdown);
  EXPECT_GT(StatusOf("lazy").events_dropped, 0U);
  const absl::Time before = absl::Now();
  server->Shutdown(absl::Milliseconds(100));
  EXPECT_LT(absl::Now() - before, absl::Seconds(20)) << "it must not wait for the lazy one";
  lazy.context->TryCancel();  // what it has not read keeps its status from it
  EXPECT_FALSE(lazy.stream->Finish().ok());
}

TEST_F(DecideTest, AcknowledgeOfWhatWasNeverSentEndsTheStream) {
  Start();
  Client client = Attached("p");
  v1::DecideRequest frame;
  frame.mutable_acknowledge()->set_position(1000);
  ASSERT_TRUE(client.stream->Write(frame));
  EXPECT_EQ(client.End().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(DecideTest, StreamIsToldOfTheDrainAndEndsWithTheServer) {
  Start();
  Client client = Attached("p");
  server->NoteDraining(absl::Seconds(7));
  const v1::DecideResponse frame = client.Next();
  ASSERT_TRUE(frame.has_draining()) << frame.ShortDebugString();
  EXPECT_LE(frame.draining().time_left().seconds(), 7);
  std::thread stop([&] { server->Shutdown(absl::Seconds(60)); });
  EXPECT_EQ(client.End().error_code(), StatusCode::UNAVAILABLE);
  stop.join();
}

TEST_F(DecideTest, ListProvidersShowsChainsAndClients) {
  chains = {{"post_initiate_connection_smtp", "", false, 0, 0, {}, {}},
            {"smtp_should_session_shutdown", "logger", false, 4, 1, absl::Seconds(2), {}},
            {"smtp_should_session_shutdown", "bridge", true, 4, 0, {}, {}}};
  Start();
  Client client = Attached("warmup");
  v1::ListProvidersResponse response;
  ASSERT_TRUE(hooks_stub->ListProviders(Context().get(), {}, &response).ok());
  ASSERT_EQ(response.chains_size(), 2);
  EXPECT_EQ(response.chains(0).providers_size(), 0);
  ASSERT_EQ(response.chains(1).providers_size(), 2);
  EXPECT_EQ(response.chains(1).providers(0).total_time().seconds(), 2);
  EXPECT_EQ(response.chains(1).providers(1).kind(), v1::PROVIDER_KIND_BRIDGE);
  ASSERT_EQ(response.remote_size(), 1);
  EXPECT_EQ(response.remote(0).name(), "warmup");
  EXPECT_EQ(response.remote(0).streams_size(), 1);
  EXPECT_EQ(response.remote(0).breaker(), v1::BREAKER_STATE_CLOSED);
}

TEST_F(DecideTest, ListProvidersShowsAnOpenBreaker) {
  policy.timeout = absl::Milliseconds(1);
  Start();
  Client client = Attached("silent");
  // Ten questions in a row that nobody answers.
  for (int i = 0; i < 10; ++i) {
    FakeSession session(*bridge);
    session.Connect();
    ASSERT_TRUE(session.Ask());
    clock.Advance(absl::Milliseconds(1));
    session.Settle();
    session.Close();
  }
  v1::ListProvidersResponse response;
  ASSERT_TRUE(hooks_stub->ListProviders(Context().get(), {}, &response).ok());
  EXPECT_EQ(response.remote(0).breaker(), v1::BREAKER_STATE_OPEN);
}

}  // namespace
}  // namespace postern::rpc

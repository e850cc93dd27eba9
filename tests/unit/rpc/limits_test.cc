// How much a caller may send, and that nothing of it is parsed before it is known who sends it.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "server/rpc/hooks_service.h"
#include "server/rpc/request.h"
#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

// A field of no message of ours, with the value 1.
constexpr char kUnknownField[] = "\xa0\x06\x01";

class LimitsTest : public RpcTest {
 protected:
  // A unary call with bytes for a request.
  grpc::Status Call(const std::string& method, const std::string& bytes,
                    std::unique_ptr<grpc::ClientContext> context = Context()) {
    grpc::GenericStub stub(channel);
    grpc::CompletionQueue cq;
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    const auto call = stub.PrepareUnaryCall(context.get(), method, request, &cq);
    grpc::ByteBuffer response;
    grpc::Status status;
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    cq.Next(&tag, &ok);
    cq.Shutdown();
    return status;
  }

  // What a SubmitStream ends with after this frame.
  grpc::Status EndOf(const v1::SubmitStreamRequest& frame) {
    auto context = Context();
    const auto stream = delivery_stub->SubmitStream(context.get());
    stream->Write(frame);
    stream->WritesDone();
    v1::SubmitStreamResponse response;
    while (stream->Read(&response)) continue;
    return stream->Finish();
  }

  std::uint64_t Unknown(const std::string& method) {
    return registry.AddCounter("postern_rpc_unknown_fields_total", "", {{"method", method}})
        .value();
  }
};

TEST_F(LimitsTest, OfACallerWhoIsNobodyNothingIsParsed) {
  access.identities.push_back({});
  access.identities.back().name = "somebody";
  access.identities.back().token = "0123456789abcdef";
  Start();
  for (const char* method : {"/postern.v1.Hooks/PostVerdicts", "/postern.v1.Hooks/ListProviders",
                             "/postern.v1.Delivery/Submit", "/postern.v1.Delivery/ListMessages",
                             "/postern.v1.Control/Suspend", "/postern.v1.Control/ApplyConfig",
                             "/postern.v1.Control/Drain"}) {
    EXPECT_EQ(Call(method, "\xff no message").error_code(), StatusCode::UNAUTHENTICATED) << method;
    EXPECT_EQ(Call(method, std::string(kMaxRequestBytes + 1, '\0')).error_code(),
              StatusCode::UNAUTHENTICATED)
        << method;
    auto context = Context();
    context->AddMetadata("authorization", "Bearer 0123456789abcdef");
    const grpc::Status known = Call(method, "\xff no message", std::move(context));
    EXPECT_NE(known.error_code(), StatusCode::UNAUTHENTICATED) << method;
  }
}

TEST_F(LimitsTest, WhatDoesNotParseIsAnErrorThatIsCounted) {
  Start();
  EXPECT_EQ(Call("/postern.v1.Control/Suspend", "\xff no message").error_code(),
            StatusCode::INTERNAL);
  EXPECT_THAT(registry.Render(),
              HasSubstr(R"(postern_rpc_calls_total{method="Control.Suspend",code="INTERNAL"} 1)"));
}

TEST_F(LimitsTest, ARequestWithoutMailIsSmall) {
  Start();
  const struct {
    const char* method;
    std::size_t limit;
  } kCases[] = {{"/postern.v1.Control/Suspend", kMaxRequestBytes},
                {"/postern.v1.Hooks/PostVerdicts", kMaxHooksBytes}};
  for (const auto& one : kCases) {
    SCOPED_TRACE(one.method);
    EXPECT_EQ(Call(one.method, std::string(one.limit, '\0')).error_code(), StatusCode::INTERNAL)
        << "it is read, and does not parse";
    const grpc::Status status = Call(one.method, std::string(one.limit + 1, '\0'));
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(status.error_message(),
              absl::StrCat("a request of ", one.limit + 1, " bytes, the limit is ", one.limit));
  }
}

TEST_F(LimitsTest, WhatAStreamOfTheServerIsAskedByIsSmall) {
  Start();
  for (const char* method : {"/postern.v1.Control/Drain", "/grpc.health.v1.Health/Watch"}) {
    EXPECT_EQ(Call(method, std::string(kMaxRequestBytes + 1, '\0')).error_code(),
              StatusCode::RESOURCE_EXHAUSTED)
        << method;
  }
  EXPECT_EQ(control.budget(), std::nullopt);
}

TEST_F(LimitsTest, AConfigurationMayBeLarge) {
  Start();
  v1::ApplyConfigRequest request;
  request.set_yaml(std::string(2 * kMaxRequestBytes, ' '));
  v1::ApplyConfigResponse response;
  const auto context = Context();
  EXPECT_EQ(control_stub->ApplyConfig(context.get(), request, &response).error_code(),
            StatusCode::UNIMPLEMENTED)
      << "this process has none, but has read it";
}

TEST_F(LimitsTest, ASubmissionMayHaveManyRecipientsButNotAnyNumber) {
  Start();
  v1::SubmitRequest request = Message();
  for (int i = 1; i < 200'000; ++i) request.add_recipients("r@b.example");
  v1::SubmitReceipt receipt;
  const auto context = Context();
  EXPECT_TRUE(delivery_stub->Submit(context.get(), request, &receipt).ok())
      << "what is too many of those the intake says";
  for (int i = 0; i < 100'000; ++i) request.add_recipients();
  const auto another = Context();
  const grpc::Status status = delivery_stub->Submit(another.get(), request, &receipt);
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("250000 fields"));
  EXPECT_EQ(intake.submitted(), 1U);
}

TEST_F(LimitsTest, AFrameOfTooManySubmissionsEndsItsStream) {
  Start();
  v1::SubmitStreamRequest frame;
  for (int i = 0; i <= kMaxFields; ++i) frame.add_submissions();
  const grpc::Status status = EndOf(frame);
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("250000 fields"));
  EXPECT_EQ(intake.submitted(), 0U);
}

TEST_F(LimitsTest, AFrameOfAFewWithManyRecipientsIsCountedInside) {
  Start();
  v1::SubmitStreamRequest frame;
  for (int i = 0; i < 3; ++i) {
    *frame.add_submissions() = Message();
    for (int k = 0; k < 90'000; ++k) frame.mutable_submissions(i)->add_recipients();
  }
  EXPECT_EQ(EndOf(frame).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  frame.mutable_submissions()->RemoveLast();
  EXPECT_TRUE(EndOf(frame).ok());
  EXPECT_EQ(intake.submitted(), 2U);
}

TEST_F(LimitsTest, AFrameThatDoesNotParseIsNotTakenForTheEnd) {
  Start();
  v1::SubmitStreamRequest frame;
  frame.add_submissions()->set_sender("\xff");  // no UTF-8
  EXPECT_EQ(EndOf(frame).error_code(), StatusCode::INTERNAL);
}

TEST_F(LimitsTest, AFrameOfOutcomesIsSmall) {
  Start();
  const auto context = Context();
  const auto stream = delivery_stub->Outcomes(context.get());
  v1::OutcomesRequest frame;
  for (std::size_t i = 0; i < kMaxRequestBytes / 2; ++i) {
    frame.mutable_start()->mutable_filter()->add_domains();
  }
  stream->Write(frame);
  v1::OutcomesResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("the limit is 262144"));
}

TEST_F(LimitsTest, FieldsThatAreNotKnownAreCountedAndIgnored) {
  Start();
  v1::GetMessageRequest request;
  request.set_message_id(std::string(32, '0'));
  const std::string bytes = request.SerializeAsString();
  for (const std::string& with : {bytes, bytes + kUnknownField}) {
    EXPECT_EQ(Call("/postern.v1.Delivery/GetMessage", with).error_code(), StatusCode::NOT_FOUND);
  }
  EXPECT_EQ(Unknown("Delivery.GetMessage"), 1U);
  v1::SubmitStreamRequest frame;
  for (int i = 0; i < 3; ++i) {
    v1::SubmitRequest* submission = frame.add_submissions();
    *submission = Message();
    if (i > 0) submission->GetReflection()->MutableUnknownFields(submission)->AddVarint(100, 1);
  }
  EXPECT_TRUE(EndOf(frame).ok());
  EXPECT_EQ(intake.submitted(), 3U);
  EXPECT_EQ(Unknown("Delivery.SubmitStream"), 2U);
}

TEST_F(LimitsTest, WatchesOnOneConnectionAreRefusedByNameNotLeftWaiting) {
  Start();
  v1::WatchRequest request;
  request.set_snapshot(true);
  v1::WatchResponse frame;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchResponse>>> open;
  for (std::size_t i = 0; i < policy.max_streams; ++i) {
    contexts.push_back(Context());
    open.push_back(hooks_stub->Watch(contexts.back().get(), request));
    ASSERT_TRUE(open.back()->Read(&frame)) << i;
  }
  const auto context = Context();
  const auto one_more = hooks_stub->Watch(context.get(), request);
  EXPECT_FALSE(one_more->Read(&frame));
  const grpc::Status status = one_more->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("policy.max_streams"));
  for (const auto& each : contexts) each->TryCancel();
  for (const auto& each : open) {
    while (each->Read(&frame)) continue;
    each->Finish();
  }
}

// A value of the SETTINGS that a server begins with (RFC 9113 §6.5); 0: it does not say.
std::uint32_t SettingOf(int port, std::uint16_t wanted) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const std::string hello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
  EXPECT_EQ(write(fd, hello.data(), hello.size()), 33);
  std::string read(9, '\0');  // the head of a frame: its length in three octets, its type
  EXPECT_EQ(recv(fd, read.data(), 9, MSG_WAITALL), 9);
  EXPECT_EQ(read[3], 4);
  const auto octet = [&read](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(read[i]));
  };
  const std::size_t length = octet(1) << 8 | octet(2);
  read.assign(length, '\0');
  EXPECT_EQ(recv(fd, read.data(), length, MSG_WAITALL), static_cast<ssize_t>(length));
  close(fd);
  for (std::size_t i = 0; i + 6 <= length; i += 6) {
    if ((octet(i) << 8 | octet(i + 1)) != wanted) continue;
    return octet(i + 2) << 24 | octet(i + 3) << 16 | octet(i + 4) << 8 | octet(i + 5);
  }
  return 0;
}

TEST_F(LimitsTest, AConnectionHasSoManyCallsAtATime) {
  Start();
  constexpr std::uint16_t kMaxConcurrentStreams = 3;
  EXPECT_EQ(SettingOf(server->ports()[0], kMaxConcurrentStreams), 1024U);
}

// Whether `bytes`, as a SubmitStreamRequest, have more than `most` fields.
bool Over(const std::string& bytes, std::int64_t most) {
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::io::CodedInputStream in(&stream);
  FieldCount count(in, most);
  count.Read(v1::SubmitStreamRequest::descriptor());
  return count.over();
}

TEST(FieldCountTest, CountsAtAllDepths) {
  v1::SubmitStreamRequest frame;
  for (int i = 0; i < 2; ++i) {
    v1::SubmitRequest* submission = frame.add_submissions();
    submission->set_content("content is not looked into: \x0a\x0a\x0a");
    submission->add_recipients("a@b.example");
    submission->mutable_message_expiration()->set_seconds(1);
    (*submission->mutable_metadata())["k"] = "v";
  }
  // Of each: itself, content, recipient, expiration with one inside, metadata with two.
  EXPECT_FALSE(Over(frame.SerializeAsString(), 16));
  EXPECT_TRUE(Over(frame.SerializeAsString(), 15));
}

TEST(FieldCountTest, CountsPackedNumbersAndWhatIsNotKnown) {
  v1::SubmitStreamRequest frame;
  v1::DsnParameters* dsn = frame.add_submissions()->mutable_dsn();
  for (int i = 0; i < 100; ++i) dsn->add_notify(v1::DSN_NOTIFY_DELAY);
  EXPECT_FALSE(Over(frame.SerializeAsString(), 103));
  EXPECT_TRUE(Over(frame.SerializeAsString(), 102));
  std::string unknown;
  for (int i = 0; i < 100; ++i) unknown += kUnknownField;
  EXPECT_FALSE(Over(unknown, 100));
  EXPECT_TRUE(Over(unknown, 99));
  EXPECT_TRUE(Over("\x0b" + unknown + "\x0c", 100)) << "in a group";
}

TEST(FieldCountTest, StopsWhereTheParserDoes) {
  EXPECT_FALSE(Over(std::string(1 << 20, '\x0b'), 1000)) << "groups in groups";
  EXPECT_FALSE(Over(std::string("\x0a\xff", 2), 1)) << "cut off";
  EXPECT_FALSE(Over(std::string("\0\x0a\x00\x0a\x00", 5), 1)) << "no field has the number 0";
}

}  // namespace
}  // namespace postern::rpc

// `postern outcomes` against a server that has nothing to tell at first.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "postern/v1/delivery.grpc.pb.h"

namespace postern::client {
namespace {

using ::testing::HasSubstr;

// Stands for stderr while it lives; what is written there can be read.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)), stderr_(dup(STDERR_FILENO)) {
    grantpt(master_);
    unlockpt(master_);
    const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
    dup2(slave, STDERR_FILENO);
    close(slave);
  }
  ~Terminal() {
    dup2(stderr_, STDERR_FILENO);
    close(stderr_);
    close(master_);
  }
  // All that is written, up to and with `end`; what there is when that does not come.
  std::string ReadTo(const std::string& end) const {
    std::string text;
    char c = 0;
    pollfd some{master_, POLLIN, 0};
    while (text.find(end) == std::string::npos && poll(&some, 1, 20'000) > 0 &&
           read(master_, &c, 1) == 1) {
      text += c;
    }
    return text;
  }

 private:
  const int master_;
  const int stderr_;
};

// Has one outcome, and tells it when the client has said that it waits.
class OneOutcome final : public v1::Delivery::Service {
 public:
  explicit OneOutcome(const Terminal& terminal) : terminal_(terminal) {}

  grpc::Status Outcomes(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::OutcomesResponse, v1::OutcomesRequest>* stream) override {
    said_ = terminal_.ReadTo("Ctrl-C ends");
    v1::OutcomesResponse frame;
    frame.mutable_heartbeat();
    stream->Write(frame);
    frame.mutable_outcomes()->add_outcomes()->set_recipient("r@b.example");
    frame.mutable_outcomes()->set_cursor("1-1");
    stream->Write(frame);
    return grpc::Status::OK;
  }
  const std::string& said() const { return said_; }

 private:
  const Terminal& terminal_;
  std::string said_;
};

TEST(OutcomesCommand, SaysThatItWaitsUntilThereIsSomething) {
  BlockStopSignals();
  std::string shown;
  testing::internal::CaptureStdout();
  {
    const Terminal terminal;
    OneOutcome service(terminal);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    const auto server = builder.BuildAndStart();
    CLI::App app;
    Invocation invocation;
    AddEverything(app, invocation);
    app.parse(absl::StrCat("outcomes --address 127.0.0.1:", port), false);
    EXPECT_EQ(invocation.run(invocation.globals), kOk);
    server->Shutdown();
    EXPECT_THAT(service.said(), HasSubstr("waiting for outcomes; Ctrl-C ends"));
    shown = terminal.ReadTo("next: --from 1-1");
  }
  UnblockStopSignals();
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("r@b.example"));
  EXPECT_THAT(shown, testing::Not(HasSubstr("waiting"))) << "said once";
  EXPECT_THAT(shown, HasSubstr("\r\033[K")) << "and taken back";
}

}  // namespace
}  // namespace postern::client

#include "server/http/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/metrics.h"

namespace postern::http {
namespace {

using ::testing::HasSubstr;

// A TCP connection that does only what it is told.
class RawClient {
 public:
  explicit RawClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool Send(absl::string_view text) {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // Whether the server ends the connection within the time, without or after octets.
  bool ClosedWithin(std::chrono::milliseconds time) {
    const auto limit = std::chrono::steady_clock::now() + time;
    char octets[65536];
    while (std::chrono::steady_clock::now() < limit) {
      pollfd ready{fd_, POLLIN, 0};
      if (::poll(&ready, 1, static_cast<int>(time.count())) <= 0) continue;
      if (::recv(fd_, octets, sizeof(octets), MSG_DONTWAIT) <= 0) return true;
    }
    return false;
  }

 private:
  const int fd_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  // Nobody is cut for being on a slow machine, unless a test wants it.
  HttpServerTest() { options_.time_limit = absl::Minutes(1); }

  void Start() {
    options_.address = "127.0.0.1:0";
    if (!options_.metrics) options_.metrics = [this] { return registry_.Render(); };
    options_.live = [this] { return live_.load(); };
    options_.started = [this] { return started_.load(); };
    options_.ready = [this] {
      return ready_ ? absl::OkStatus() : absl::UnavailableError("the spool cannot write");
    };
    auto server = Server::Start(options_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  httplib::Result Get(const char* path) {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(30);
    return client.Get(path);
  }

  base::Registry registry_;
  std::atomic<bool> live_{true};
  std::atomic<bool> started_{true};
  std::atomic<bool> ready_{true};
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(HttpServerTest, ReportsThePortThatItBound) {
  Start();
  EXPECT_GT(server_->port(), 0);
  EXPECT_EQ(server_->address(), absl::StrCat("127.0.0.1:", server_->port()));
}

TEST_F(HttpServerTest, TellsWhetherTheProcessMakesProgress) {
  Start();
  auto answer = Get("/livez");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "ok\n");
  live_ = false;
  answer = Get("/livez");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
}

TEST_F(HttpServerTest, SaysWhyItIsNotReady) {
  Start();
  EXPECT_EQ(Get("/readyz")->status, 200);
  ready_ = false;
  const auto answer = Get("/readyz");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->body, "the spool cannot write\n");
}

TEST_F(HttpServerTest, AStartIsOverAlsoWhenNoMailIsTaken) {
  ready_ = false;
  started_ = false;
  Start();
  EXPECT_EQ(Get("/startupz")->status, 503);
  EXPECT_EQ(Get("/startupz")->body, "starting\n");
  started_ = true;
  EXPECT_EQ(Get("/startupz")->status, 200);
  EXPECT_EQ(Get("/readyz")->status, 503);
}

TEST_F(HttpServerTest, AnswersOtherPathsWith404AsText) {
  Start();
  const auto answer = Get("/nothing");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
  EXPECT_THAT(answer->get_header_value("Content-Type"), HasSubstr("text/plain"));
  EXPECT_THAT(answer->body, HasSubstr("/nothing"));
}

TEST_F(HttpServerTest, ShowsMetricsThatPrometheusAccepts) {
  registry_.AddCounter("postern_test_total", "Things that were counted.", {{"code", "a\"b\n"}})
      .Add(3);
  registry_.AddGauge("postern_test_depth", "How deep it is.").Set(-2);
  registry_.AddHistogram("postern_test_seconds", "How long it took.", base::LatencyBounds())
      .Observe(0.002);
  Start();
  const auto answer = Get("/metrics");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_THAT(answer->get_header_value("Content-Type"), HasSubstr("version=0.0.4"));
  EXPECT_EQ(answer->body, registry_.Render());

  if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "no promtool";
  std::FILE* promtool = ::popen("promtool check metrics", "w");
  ASSERT_NE(promtool, nullptr);
  std::fwrite(answer->body.data(), 1, answer->body.size(), promtool);
  EXPECT_EQ(::pclose(promtool), 0);
}

TEST_F(HttpServerTest, AnswersProbesWhileManyClientsDawdle) {
  options_.time_limit = absl::Minutes(10);
  options_.metrics = [] { return std::string(8 << 20, 'x'); };  // more than the sockets take
  Start();
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 15; ++i) {
    slow.push_back(std::make_unique<RawClient>(server_->port()));
    slow.back()->Send("GET /livez HTTP/1.1\r\nHos");
    slow.push_back(std::make_unique<RawClient>(server_->port()));
    slow.back()->Send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  const auto answer = Get("/livez");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  server_->Stop();  // does not wait ten minutes for them
}

TEST_F(HttpServerTest, CutsClientsThatSendSlowly) {
  options_.time_limit = absl::Milliseconds(100);
  Start();
  RawClient silent(server_->port());
  EXPECT_TRUE(silent.ClosedWithin(std::chrono::seconds(30)));
  // Each octet comes in time; all of them do not.
  RawClient dripping(server_->port());
  dripping.Send("GET /livez HTTP/1.1\r\nX: ");
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  bool closed = false;
  while (!closed && std::chrono::steady_clock::now() < limit) {
    closed = !dripping.Send("x") || dripping.ClosedWithin(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(closed);
}

TEST_F(HttpServerTest, CutsClientsThatDoNotRead) {
  options_.time_limit = absl::Milliseconds(100);
  options_.max_connections = 1;
  options_.metrics = [] { return std::string(8 << 20, 'x'); };
  Start();
  RawClient slow(server_->port());
  slow.Send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  // Waits for the only place, which the other must leave. On a slow machine this one is cut, too.
  auto answer = Get("/livez");
  for (int i = 0; i < 100 && !answer; ++i) answer = Get("/livez");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(HttpServerTest, RefusesLargeBodies) {
  Start();
  httplib::Client client("127.0.0.1", server_->port());
  const auto answer = client.Post("/livez", std::string(2000, 'x'), "text/plain");
  ASSERT_TRUE(answer);
  EXPECT_GE(answer->status, 400);
}

TEST_F(HttpServerTest, NamesAnAddressThatIsTaken) {
  Start();
  ServerOptions again = options_;
  again.address = server_->address();
  const auto second = Server::Start(again);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_->address()));
}

TEST_F(HttpServerTest, CanListenOnItsPortAgainAfterStop) {
  Start();
  Get("/livez");
  server_->Stop();
  server_->Stop();
  ServerOptions again = options_;
  again.address = server_->address();
  const auto second = Server::Start(again);
  EXPECT_TRUE(second.ok()) << second.status();
}

TEST(HttpServerAddressTest, RefusesWhatIsNoHostAndPort) {
  for (const char* address : {"127.0.0.1", ":80", "localhost:x", "127.0.0.1:70000", "x:-1"}) {
    ServerOptions options;
    options.address = address;
    EXPECT_EQ(Server::Start(options).status().code(), absl::StatusCode::kInvalidArgument)
        << address;
  }
}

TEST(HttpServerAddressTest, MayBeSwitchedOff) {
  const auto server = Server::Start({});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->address(), "");
}

}  // namespace
}  // namespace postern::http

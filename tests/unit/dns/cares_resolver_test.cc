#include "server/dns/cares_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <chrono>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/unit/dns/scripted_server.h"

namespace postern::dns {
namespace {

using testing::A;
using testing::Aaaa;
using testing::Cname;
using testing::DnsPacket;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kTypeA;
using testing::kTypeAaaa;
using testing::kTypeMx;
using testing::Mx;
using testing::ScriptedServer;
using testing::Soa;

using Answer = std::shared_ptr<const MxAnswer>;

constexpr int kServFail = 2;
constexpr int kNxDomain = 3;
constexpr absl::Duration kLong = absl::Seconds(60);

class HandClock final : public base::Clock {
 public:
  absl::Time Now() const override { return now; }
  absl::Time Steady() const override { return now; }
  absl::Time now = absl::UnixEpoch() + absl::Hours(1000);
};

asio::awaitable<void> Keep(asio::awaitable<Answer> answer, Answer& out) {
  out = co_await std::move(answer);
}

class CaresResolverTest : public ::testing::Test {
 protected:
  CaresResolverTest() { Restart(Patient()); }

  // Asks each question once and waits for every answer, however slow the machine is.
  static ResolverOptions Patient() {
    ResolverOptions options;
    options.channel.try_timeout = kLong;
    options.straggler_wait = kLong;
    return options;
  }

  void Restart(ResolverOptions options) {
    options.channel.servers = {server_.address()};
    auto made = CaresResolver::Create(io_, options, clock_);
    ASSERT_TRUE(made.ok()) << made.status();
    resolver_ = *std::move(made);
  }
  void Spawn(asio::awaitable<Answer> answer, Answer& out) {
    asio::co_spawn(io_, Keep(std::move(answer), out), asio::detached);
  }
  // The server always waits for questions, so the loop never ends by itself.
  template <typename Done>
  bool RunUntil(Done done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < limit) {
      io_.run_one_for(std::chrono::seconds(1));
    }
    return done();
  }
  Answer Mail(std::string domain, absl::Duration timeout = kLong) {
    Answer answer;
    Spawn(resolver_->ResolveMail(std::move(domain), timeout), answer);
    EXPECT_TRUE(RunUntil([&] { return answer != nullptr; }));
    return answer;
  }
  Answer Host(std::string host, absl::Duration timeout = kLong) {
    Answer answer;
    Spawn(resolver_->ResolveHost(std::move(host), timeout), answer);
    EXPECT_TRUE(RunUntil([&] { return answer != nullptr; }));
    return answer;
  }
  static std::vector<std::string> Shown(const MxAnswer& answer) {
    std::vector<std::string> shown;
    for (const Target& target : answer.targets) {
      shown.push_back(
          absl::StrCat(target.preference, " ", target.host, " ", target.address.to_string()));
    }
    return shown;
  }
  void ScriptExample() {
    server_.Records("example.com", kTypeMx,
                    {Mx("example.com", 600, 20, "mx2.example.com"),
                     Mx("example.com", 600, 10, "mx1.example.com")});
    server_.Records("mx1.example.com", kTypeA, {A("mx1.example.com", 300, "192.0.2.1")});
    server_.Records("mx1.example.com", kTypeAaaa, {Aaaa("mx1.example.com", 300, "2001:db8::1")});
    server_.Records("mx2.example.com", kTypeA, {A("mx2.example.com", 300, "192.0.2.2")});
  }

  // Returns when all of it is in the cache.
  void KnowExample() {
    while (resolver_->Cached("example.com") == nullptr) Mail("example.com");
  }

  asio::io_context io_;
  HandClock clock_;
  ScriptedServer server_{io_};
  std::unique_ptr<CaresResolver> resolver_;
};

TEST_F(CaresResolverTest, OrdersMxHostsWithBothAddressFamilies) {
  ScriptExample();
  const Answer answer = Mail("Example.COM.");
  EXPECT_EQ(answer->outcome, MxOutcome::kOk) << answer->error;
  EXPECT_THAT(Shown(*answer),
              ElementsAre("10 mx1.example.com 192.0.2.1", "10 mx1.example.com 2001:db8::1",
                          "20 mx2.example.com 192.0.2.2"));
  EXPECT_EQ(answer->ttl, absl::Seconds(60));  // mx2 has no AAAA, and no SOA says for how long
}

TEST_F(CaresResolverTest, UsesTheDomainItselfWithoutMx) {
  server_.Records("plain.test", kTypeA, {A("plain.test", 300, "192.0.2.5")});
  EXPECT_THAT(Shown(*Mail("plain.test")), ElementsAre("0 plain.test 192.0.2.5"));
}

TEST_F(CaresResolverTest, DoesNotUseTheDomainItselfIfTheMxDoNotResolve) {
  server_.Records("broken.test", kTypeMx, {Mx("broken.test", 300, 10, "gone.test")});
  server_.Records("broken.test", kTypeA, {A("broken.test", 300, "192.0.2.5")});
  server_.Rcode("gone.test", kTypeA, kNxDomain);
  server_.Rcode("gone.test", kTypeAaaa, kNxDomain);
  EXPECT_EQ(Mail("broken.test")->outcome, MxOutcome::kNoAddress);
  EXPECT_EQ(server_.Count("broken.test", kTypeA), 0);
}

TEST_F(CaresResolverTest, FailsANullMxWithoutAskingForAddresses) {
  server_.Records("null.test", kTypeMx, {Mx("null.test", 300, 0, ".")});
  EXPECT_EQ(Mail("null.test")->outcome, MxOutcome::kNullMx);
  EXPECT_EQ(server_.Count("null.test", kTypeA), 0);
}

TEST_F(CaresResolverTest, TellsADomainThatDoesNotExist) {
  DnsPacket packet{.rcode = kNxDomain, .name = "no.test", .authorities = {Soa("test", 900, 120)}};
  server_.Answer(packet);
  const Answer answer = Mail("no.test");
  EXPECT_EQ(answer->outcome, MxOutcome::kNoDomain);
  EXPECT_EQ(answer->ttl, absl::Seconds(120));
  EXPECT_THAT(answer->error, HasSubstr("no.test"));
}

TEST_F(CaresResolverTest, TellsADomainWithoutAnyAddress) {
  EXPECT_EQ(Mail("empty.test")->outcome, MxOutcome::kNoAddress);
}

TEST_F(CaresResolverTest, DefersOnServfailAndAsksAgainAfterASecond) {
  server_.Rcode("sick.test", kTypeMx, kServFail);
  const Answer answer = Mail("sick.test");
  EXPECT_EQ(answer->outcome, MxOutcome::kTemporary);
  EXPECT_EQ(answer->error, "SERVFAIL for MX of sick.test");
  const int asked = server_.Count("sick.test", kTypeMx);
  Mail("sick.test");
  EXPECT_EQ(server_.Count("sick.test", kTypeMx), asked);
  clock_.now += absl::Seconds(1);
  server_.Records("sick.test", kTypeMx, {Mx("sick.test", 300, 0, ".")});
  EXPECT_EQ(Mail("sick.test")->outcome, MxOutcome::kNullMx);
}

TEST_F(CaresResolverTest, DefersOnAMalformedAnswer) {
  server_.Damage("bad.test", kTypeMx);
  const Answer answer = Mail("bad.test");
  EXPECT_EQ(answer->outcome, MxOutcome::kTemporary);
  EXPECT_THAT(answer->error, HasSubstr("malformed answer"));
}

TEST_F(CaresResolverTest, DefersWhenTheTimeIsUp) {
  server_.Silence("slow.test", kTypeMx);
  const auto start = std::chrono::steady_clock::now();
  const Answer answer = Mail("slow.test", absl::Milliseconds(50));
  EXPECT_EQ(answer->outcome, MxOutcome::kTemporary);
  EXPECT_EQ(answer->error, "time-out for MX of slow.test");
  // Long before the first try is over.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST_F(CaresResolverTest, GivesUpASilentServerAfterItsTries) {
  Restart({.channel = {.try_timeout = absl::Milliseconds(20), .tries = 2}});
  server_.Silence("dead.test", kTypeMx);
  EXPECT_EQ(Mail("dead.test")->error, "time-out for MX of dead.test");
  EXPECT_EQ(server_.Count("dead.test", kTypeMx), 2);
}

TEST_F(CaresResolverTest, GoesOnWithoutALookupThatHangs) {
  ResolverOptions options = Patient();
  options.straggler_wait = absl::Milliseconds(20);
  Restart(options);
  ScriptExample();
  server_.Records("mx2.example.com", kTypeA, {A("mx2.example.com", 30, "192.0.2.2")});
  KnowExample();
  clock_.now += absl::Seconds(30);  // all but this one address is known still
  server_.Silence("mx2.example.com", kTypeA);
  const Answer answer = Mail("example.com");
  EXPECT_THAT(Shown(*answer),
              ElementsAre("10 mx1.example.com 192.0.2.1", "10 mx1.example.com 2001:db8::1"));
  EXPECT_EQ(answer->missing, "time-out for A of mx2.example.com");
  EXPECT_EQ(answer->ttl, absl::ZeroDuration());
}

TEST_F(CaresResolverTest, WaitsForTheBestHostUntilTheDeadlineBeforeItTakesAWorseOne) {
  ResolverOptions options = Patient();
  options.straggler_wait = absl::ZeroDuration();
  Restart(options);
  ScriptExample();
  server_.Records("mx2.example.com", kTypeA, {A("mx2.example.com", 600, "192.0.2.2")});
  KnowExample();
  clock_.now += absl::Seconds(300);  // the worse host is known still
  server_.Silence("mx1.example.com", kTypeA);
  server_.Silence("mx1.example.com", kTypeAaaa);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(Shown(*Mail("example.com", absl::Milliseconds(300))),
              ElementsAre("20 mx2.example.com 192.0.2.2"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(299));
}

TEST_F(CaresResolverTest, KnowsTheAddressesOfAHostUntilTheirTtlIsOver) {
  ScriptExample();
  EXPECT_EQ(resolver_->CachedHost("mx1.example.com"), nullptr);
  ASSERT_EQ(Host("mx1.example.com")->outcome, MxOutcome::kOk);
  ASSERT_NE(resolver_->CachedHost("MX1.example.com."), nullptr);
  EXPECT_EQ(Shown(*resolver_->CachedHost("mx1.example.com")).size(),
            Shown(*Host("mx1.example.com")).size());
  EXPECT_EQ(server_.Count("mx1.example.com", kTypeA), 1);
  clock_.now += absl::Seconds(300);
  EXPECT_EQ(resolver_->CachedHost("mx1.example.com"), nullptr);
  ASSERT_NE(resolver_->CachedHost("192.0.2.1"), nullptr);
}

TEST_F(CaresResolverTest, AnswersFromTheCacheUntilTheTtlIsOver) {
  ScriptExample();
  EXPECT_EQ(resolver_->Cached("example.com"), nullptr);
  Mail("example.com");
  ASSERT_NE(resolver_->Cached("EXAMPLE.com"), nullptr);
  EXPECT_EQ(resolver_->Cached("example.com")->targets.size(), 3U);
  Mail("example.com");
  EXPECT_EQ(server_.Count("example.com", kTypeMx), 1);
  EXPECT_EQ(server_.Count("mx1.example.com", kTypeA), 1);

  clock_.now += absl::Seconds(300);  // the addresses' TTL, not the MX records'
  EXPECT_EQ(resolver_->Cached("example.com"), nullptr);
  EXPECT_EQ(Mail("example.com")->outcome, MxOutcome::kOk);
  EXPECT_EQ(server_.Count("example.com", kTypeMx), 1);
  EXPECT_EQ(server_.Count("mx1.example.com", kTypeA), 2);

  clock_.now += absl::Seconds(300);
  Mail("example.com");
  EXPECT_EQ(server_.Count("example.com", kTypeMx), 2);
}

TEST_F(CaresResolverTest, KeepsAZeroTtlForOneSecondAndALongOneForADay) {
  server_.Records("zero.test", kTypeMx, {Mx("zero.test", 0, 0, ".")});
  server_.Records("long.test", kTypeMx, {Mx("long.test", 10'000'000, 0, ".")});
  EXPECT_EQ(Mail("zero.test")->ttl, absl::Seconds(1));
  EXPECT_EQ(Mail("long.test")->ttl, absl::Hours(24));
}

TEST_F(CaresResolverTest, JoinsLookupsOfOneName) {
  ScriptExample();
  Answer first, second;
  Spawn(resolver_->ResolveMail("example.com", kLong), first);
  Spawn(resolver_->ResolveMail("example.com", kLong), second);
  ASSERT_TRUE(RunUntil([&] { return first != nullptr && second != nullptr; }));
  EXPECT_EQ(first->targets.size(), 3U);
  EXPECT_EQ(second->targets.size(), 3U);
  EXPECT_EQ(server_.Count("example.com", kTypeMx), 1);
  EXPECT_EQ(server_.Count("mx1.example.com", kTypeA), 1);
}

TEST_F(CaresResolverTest, SharesAddressesOfHostsBetweenDomains) {
  ScriptExample();
  server_.Records("other.test", kTypeMx, {Mx("other.test", 600, 5, "mx1.example.com")});
  Mail("example.com");
  EXPECT_EQ(Mail("other.test")->targets.size(), 2U);
  EXPECT_EQ(server_.Count("mx1.example.com", kTypeA), 1);
}

TEST_F(CaresResolverTest, FollowsCnames) {
  server_.Records(
      "alias.test", kTypeMx,
      {Cname("alias.test", 300, "real.test"), Mx("real.test", 300, 10, "mx.real.test")});
  server_.Records(
      "mx.real.test", kTypeA,
      {Cname("mx.real.test", 300, "host.real.test"), A("host.real.test", 300, "192.0.2.9")});
  EXPECT_THAT(Shown(*Mail("alias.test")), ElementsAre("10 mx.real.test 192.0.2.9"));
}

TEST_F(CaresResolverTest, FallsBackToTcpForTruncatedAnswers) {
  ScriptExample();
  DnsPacket packet{.truncated = true, .name = "example.com"};
  packet.answers = {Mx("example.com", 600, 10, "mx1.example.com")};
  server_.Answer(packet);
  EXPECT_EQ(Mail("example.com")->targets.size(), 2U);
  EXPECT_EQ(server_.tcp_questions(), 1);
}

TEST_F(CaresResolverTest, ResolvesAHostWithoutMx) {
  ScriptExample();
  EXPECT_THAT(Shown(*Host("mx2.example.com")), ElementsAre("0 mx2.example.com 192.0.2.2"));
  EXPECT_EQ(server_.Count("mx2.example.com", kTypeMx), 0);
  server_.Rcode("no.test", kTypeA, kNxDomain);
  server_.Rcode("no.test", kTypeAaaa, kNxDomain);
  EXPECT_EQ(Host("no.test")->outcome, MxOutcome::kNoDomain);
}

TEST_F(CaresResolverTest, AnswersAddressesWithoutDns) {
  EXPECT_THAT(Shown(*Mail("[192.0.2.1]", absl::ZeroDuration())),
              ElementsAre("0 [192.0.2.1] 192.0.2.1"));
  EXPECT_THAT(Shown(*Host("[2001:db8::1]", absl::ZeroDuration())),
              ElementsAre("0 2001:db8::1 2001:db8::1"));
  ASSERT_NE(resolver_->Cached("[IPv6:2001:db8::1]"), nullptr);
}

TEST_F(CaresResolverTest, RefusesNamesThatAreTooLongForDns) {
  EXPECT_EQ(Mail(std::string(70, 'x') + ".test")->outcome, MxOutcome::kNoDomain);
}

TEST_F(CaresResolverTest, LetsQueriesBeyondTheLimitWaitTheirTurn) {
  ResolverOptions options = Patient();
  options.channel.max_queries = 1;
  Restart(options);
  ScriptExample();
  EXPECT_EQ(Mail("example.com")->targets.size(), 3U);
}

TEST_F(CaresResolverTest, ReportsAServerThatCannotBeReached) {
  // Keeps the port from others; what does not come from its peer finds no socket there.
  asio::ip::udp::socket socket(io_, {asio::ip::address_v4::loopback(), 0});
  socket.connect({asio::ip::address_v4::loopback(), 9});
  const std::string closed = absl::StrCat("127.0.0.1:", socket.local_endpoint().port());
  auto made = CaresResolver::Create(io_, {.channel = {.servers = {closed}}}, clock_);
  ASSERT_TRUE(made.ok()) << made.status();
  resolver_ = *std::move(made);
  const Answer answer = Mail("example.com");
  EXPECT_EQ(answer->outcome, MxOutcome::kTemporary);
  EXPECT_EQ(answer->error, "no usable answer from any DNS server for MX of example.com");
}

TEST_F(CaresResolverTest, RefusesServersThatAreNoAddresses) {
  const auto made = CaresResolver::Create(io_, {.channel = {.servers = {"dns.test:53"}}}, clock_);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(made.status().message()), HasSubstr("dns.test:53"));
}

TEST_F(CaresResolverTest, AnswersWaitingCallersWhenItIsDestroyed) {
  server_.Silence("slow.test", kTypeMx);
  Answer answer;
  Spawn(resolver_->ResolveMail("slow.test", kLong), answer);
  ASSERT_TRUE(RunUntil([&] { return server_.Count("slow.test", kTypeMx) == 1; }));
  resolver_.reset();
  ASSERT_TRUE(RunUntil([&] { return answer != nullptr; }));
  EXPECT_EQ(answer->outcome, MxOutcome::kTemporary);
  EXPECT_EQ(answer->error, "resolver stopped for MX of slow.test");
}

TEST_F(CaresResolverTest, IsDestroyedBetweenMxAndAddresses) {
  ScriptExample();
  server_.Silence("mx1.example.com", kTypeA);
  server_.Silence("mx1.example.com", kTypeAaaa);
  Answer answer;
  Spawn(resolver_->ResolveMail("example.com", kLong), answer);
  ASSERT_TRUE(RunUntil([&] { return server_.Count("mx1.example.com", kTypeAaaa) == 1; }));
  resolver_.reset();
  ASSERT_TRUE(RunUntil([&] { return answer != nullptr; }));
  EXPECT_NE(answer->outcome, MxOutcome::kNoAddress);
}

// Nothing may be freed twice or leak when the loop goes while a caller still sleeps.
TEST(CaresResolverLifeTest, ForgetsCallersTogetherWithTheirLoop) {
  HandClock clock;
  Answer answer;
  {
    asio::io_context io;
    ScriptedServer server(io);
    server.Silence("slow.test", kTypeMx);
    ResolverOptions options;
    options.channel.servers = {server.address()};
    auto resolver = CaresResolver::Create(io, options, clock);
    ASSERT_TRUE(resolver.ok()) << resolver.status();
    asio::co_spawn(io, Keep((*resolver)->ResolveMail("slow.test", kLong), answer), asio::detached);
    while (server.Count("slow.test", kTypeMx) == 0) io.run_one_for(std::chrono::seconds(1));
  }
  EXPECT_EQ(answer, nullptr);
}

// An idle resolver waits for nothing, so that run() can return.
TEST(CaresResolverLifeTest, LetsAnIdleLoopEnd) {
  HandClock clock;
  asio::io_context io;
  Answer answer;
  std::optional<ScriptedServer> server(io);
  ResolverOptions options;
  options.channel.servers = {server->address()};
  auto resolver = CaresResolver::Create(io, options, clock);
  ASSERT_TRUE(resolver.ok()) << resolver.status();
  asio::co_spawn(io, Keep((*resolver)->ResolveMail("empty.test", kLong), answer), asio::detached);
  while (answer == nullptr) io.run_one_for(std::chrono::seconds(1));
  server.reset();
  io.run_for(std::chrono::seconds(30));
  EXPECT_TRUE(io.stopped());
}

}  // namespace
}  // namespace postern::dns

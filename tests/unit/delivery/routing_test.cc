#include "server/delivery/routing.h"

#include <asio/co_spawn.hpp>
#include <exception>

#include "tests/unit/delivery/fixture.h"

namespace postern::delivery {
namespace {

mail::DeliveryOptions WithGateway(std::string host, std::uint16_t port) {
  mail::DeliveryOptions options;
  mail::HostPort gateway;
  gateway.host = std::move(host);
  gateway.port = port;
  options.gateway = std::make_shared<const mail::HostPort>(gateway);
  return options;
}

TEST(RoutingTest, MailIsQueuedUnderItsDomain) {
  EXPECT_EQ(QueueDomain("a.example", mail::DeliveryOptions()), "a.example");
}

TEST(RoutingTest, MailForAGatewayIsQueuedUnderTheGateway) {
  EXPECT_EQ(QueueDomain("a.example", WithGateway("relay.example", 2525)), "relay.example:2525");
  EXPECT_EQ(QueueDomain("a.example", WithGateway("relay.example", 0)), "relay.example:25");
}

TEST(RoutingTest, AQueueNameTellsAGatewayFromADomain) {
  EXPECT_EQ(GatewayOf("a.example"), std::nullopt);
  EXPECT_EQ(GatewayOf("[192.0.2.1]"), std::nullopt);
  EXPECT_EQ(GatewayOf("[ipv6:2001:db8::1]"), std::nullopt);
  const auto gateway = GatewayOf("relay.example:2525");
  ASSERT_TRUE(gateway.has_value());
  EXPECT_EQ(gateway->host, "relay.example");
  EXPECT_EQ(gateway->port, 2525);
  const auto v6 = GatewayOf("[2001:db8::1]:25");
  ASSERT_TRUE(v6.has_value());
  EXPECT_EQ(v6->host, "[2001:db8::1]");
}

class NeedsLookupTest : public ::testing::Test {
 protected:
  static mail::HostPort Host(std::string name) {
    mail::HostPort host;
    host.host = std::move(name);
    return host;
  }
  static dns::MxAnswer Found() {
    dns::MxAnswer answer;
    answer.outcome = dns::MxOutcome::kOk;
    answer.targets.push_back({"relay.example", 0, asio::ip::make_address("192.0.2.1")});
    return answer;
  }
  static dns::MxAnswer Failed() {
    dns::MxAnswer answer;
    answer.outcome = dns::MxOutcome::kTemporary;
    answer.error = "SERVFAIL for A of busy.example";
    return answer;
  }
  DialPlan Plan(std::string queue_domain) {
    asio::io_context io;
    DialPlan plan;
    auto options = std::make_shared<const mail::DeliveryOptions>(options_);
    asio::co_spawn(io, PlanDial(std::move(queue_domain), std::move(options), resolver_),
                   [&plan](const std::exception_ptr&, DialPlan made) { plan = std::move(made); });
    io.run();
    return plan;
  }
  TestResolver::Known known_;
  TestResolver resolver_{known_};
  mail::DeliveryOptions options_;
};
using PlanDialTest = NeedsLookupTest;

DialPlan PlanOf(const std::vector<std::pair<const char*, const char*>>& targets) {
  DialPlan plan;
  plan.outcome = dns::MxOutcome::kOk;
  for (const auto& [host, address] : targets) {
    plan.targets.push_back({host, {asio::ip::make_address(address), 25}});
  }
  return plan;
}

std::vector<std::string> Addresses(const DialPlan& plan) {
  std::vector<std::string> addresses;
  for (const DialTarget& target : plan.targets) {
    addresses.push_back(target.endpoint.address().to_string());
  }
  return addresses;
}

TEST(RoutingTest, AnAddressFamilyIsPreferredWithinAHostOrIsTheOnlyOne) {
  using mail::AddressFamily;
  const DialPlan all =
      PlanOf({{"a", "192.0.2.1"}, {"a", "2001:db8::1"}, {"b", "192.0.2.2"}, {"b", "2001:db8::2"}});
  const auto with = [&all](AddressFamily family) {
    DialPlan plan = all;
    ApplyAddressFamily(family, plan);
    return Addresses(plan);
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(with(AddressFamily::kAny), Addresses(all));
  EXPECT_EQ(with(AddressFamily::kPreferIpv4), Addresses(all));
  EXPECT_EQ(with(AddressFamily::kPreferIpv6),
            (List{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"}));
  EXPECT_EQ(with(AddressFamily::kIpv4Only), (List{"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(with(AddressFamily::kIpv6Only), (List{"2001:db8::1", "2001:db8::2"}));
}

TEST(RoutingTest, HostsWithoutAnAddressOfTheFamilyHaveNone) {
  DialPlan plan = PlanOf({{"a", "192.0.2.1"}});
  ApplyAddressFamily(mail::AddressFamily::kIpv6Only, plan);
  EXPECT_EQ(plan.outcome, dns::MxOutcome::kNoAddress);
  EXPECT_TRUE(plan.targets.empty());
  EXPECT_NE(plan.error, "");
}

TEST(RoutingTest, AHostThatCouldNotBeLookedUpMayHaveAnAddressOfTheFamily) {
  DialPlan plan = PlanOf({{"a", "192.0.2.1"}});
  plan.missing = "SERVFAIL for AAAA of a";
  ApplyAddressFamily(mail::AddressFamily::kIpv6Only, plan);
  EXPECT_EQ(plan.outcome, dns::MxOutcome::kTemporary);
  EXPECT_EQ(plan.error, "SERVFAIL for AAAA of a");
}

TEST_F(PlanDialTest, TellsBesideTheTargetsThatARouteCouldNotBeLookedUp) {
  options_.routes = {Host("busy.example"), Host("192.0.2.7"), Host("gone.example")};
  DialPlan plan = Plan("a.example");
  EXPECT_EQ(plan.outcome, dns::MxOutcome::kOk);
  EXPECT_EQ(plan.missing, "") << "what does not exist will not be found later either";
  known_["busy.example"] = Failed();
  plan = Plan("a.example");
  EXPECT_EQ(plan.outcome, dns::MxOutcome::kOk);
  EXPECT_EQ(Addresses(plan), std::vector<std::string>{"192.0.2.7"});
  EXPECT_EQ(plan.missing, "SERVFAIL for A of busy.example");
}

TEST_F(PlanDialTest, PassesOnThatAnMxCouldNotBeLookedUp) {
  known_["a.example"] = Found();
  EXPECT_EQ(Plan("a.example").missing, "");
  known_["a.example"].missing = "time-out for A of mx1.a.example";
  EXPECT_EQ(Plan("a.example").missing, "time-out for A of mx1.a.example");
}

TEST(RoutingTest, TheSourceIsOfTheFamilyOfTheHost) {
  mail::DeliveryOptions options;
  const auto v4 = asio::ip::make_address("192.0.2.1");
  const auto v6 = asio::ip::make_address("2001:db8::1");
  EXPECT_EQ(SourceFor(v4, options), std::nullopt);
  options.bind_ipv4 = "198.51.100.7";
  EXPECT_EQ(SourceFor(v4, options), asio::ip::make_address("198.51.100.7"));
  EXPECT_EQ(SourceFor(v6, options), std::nullopt);
  options.bind_ipv6 = "2001:db8::7";
  EXPECT_EQ(SourceFor(v6, options), asio::ip::make_address("2001:db8::7"));
}

TEST_F(NeedsLookupTest, ARouteByNameNeedsOneOnlyUntilItsAddressesAreKnown) {
  options_.routes = {Host("relay.example"), Host("192.0.2.7")};
  EXPECT_TRUE(NeedsLookup("a.example", options_, resolver_));
  known_["relay.example"] = Found();
  EXPECT_FALSE(NeedsLookup("a.example", options_, resolver_));
  options_.routes.push_back(Host("other.example"));
  EXPECT_TRUE(NeedsLookup("a.example", options_, resolver_)) << "one of them is enough";
}

TEST_F(NeedsLookupTest, AGatewayByNameNeedsOneOnlyUntilItsAddressesAreKnown) {
  EXPECT_TRUE(NeedsLookup("relay.example:25", options_, resolver_));
  EXPECT_FALSE(NeedsLookup("192.0.2.7:25", options_, resolver_));
  known_["relay.example"] = Found();
  EXPECT_FALSE(NeedsLookup("relay.example:25", options_, resolver_));
}

mail::AddressBlock Block(int a, int b, int prefix_bits) {
  mail::AddressBlock block;
  block.bytes[0] = static_cast<unsigned char>(a);
  block.bytes[1] = static_cast<unsigned char>(b);
  block.prefix_bits = prefix_bits;
  return block;
}

// All hosts that are known are prohibited; whether there is another one hangs on `missing`.
class ProhibitedWalkTest : public DeliveryTest {
 protected:
  void StartWith(std::string missing) {
    options_.at("default").routes.clear();
    options_.at("default").prohibited_hosts = {Block(127, 0, 8)};
    dns::MxAnswer& answer = known_["a.test"];
    answer.outcome = dns::MxOutcome::kOk;
    answer.targets.push_back({"localhost", 20, asio::ip::make_address("127.0.0.1")});
    answer.missing = std::move(missing);
    Start();
  }
};

TEST_F(ProhibitedWalkTest, AHostThatCouldNotBeLookedUpKeepsTheMailWaiting) {
  StartWith("SERVFAIL for A of mx1.a.test");
  const base::Id id = Submit({"r@a.test"});
  const QueueInfo queue = WaitQueue("a.test", [](const QueueInfo& info) {
    return info.waiting_for == mail::RequeueReason::kMxLookup;
  });
  EXPECT_EQ(queue.active, 1U);
  ASSERT_NE(queue.last_failure, nullptr);
  EXPECT_EQ(queue.last_failure->ToString(),
            "451 4.4.3 DNS: SERVFAIL for A of mx1.a.test [internal]");
  EXPECT_EQ(WaitEvents(2).back(), "a.test: MX_LOOKUP_FAILED");
  EXPECT_FALSE(spool_.ReadHistory(id).ok()) << "no recipient was charged with it";
}

TEST_F(ProhibitedWalkTest, WithoutSuchAHostTheMailFails) {
  StartWith("");
  const base::Id id = Submit({"r@a.test"});
  WaitEvents(1);
  dispatcher_->ListQueues("*", "");  // the thread is through with it
  const auto rows = spool_.ReadFinished(id);
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->front().recipients.front().disposition, mail::Disposition::kFailed);
  EXPECT_EQ(rows->front().recipients.front().last_reply->enhanced, "5.4.4");
}

TEST(RoutingTest, ProhibitedBlocksEndWhereTheirPrefixSays) {
  const auto is = [](const char* address, const mail::AddressBlock& block) {
    return IsProhibited(asio::ip::make_address(address), {block});
  };
  EXPECT_TRUE(is("127.1.2.3", Block(127, 0, 8)));
  EXPECT_FALSE(is("128.0.0.1", Block(127, 0, 8)));
  EXPECT_TRUE(is("172.31.255.255", Block(172, 16, 12)));
  EXPECT_FALSE(is("172.32.0.0", Block(172, 16, 12)));
  EXPECT_FALSE(is("::1", Block(127, 0, 8)));
  EXPECT_TRUE(is("1.2.3.4", Block(0, 0, 0)));
}

}  // namespace
}  // namespace postern::delivery

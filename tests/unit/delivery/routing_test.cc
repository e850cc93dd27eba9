#include "server/delivery/routing.h"

#include <gtest/gtest.h>

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

mail::AddressBlock Block(int a, int b, int prefix_bits) {
  mail::AddressBlock block;
  block.bytes[0] = static_cast<unsigned char>(a);
  block.bytes[1] = static_cast<unsigned char>(b);
  block.prefix_bits = prefix_bits;
  return block;
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

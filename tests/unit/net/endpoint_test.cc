#include "server/net/endpoint.h"

#include <gtest/gtest.h>

namespace postern::net {
namespace {

TEST(EndpointTest, PutsBracketsAroundV6Only) {
  using asio::ip::tcp;
  EXPECT_EQ(FormatEndpoint(tcp::endpoint(asio::ip::make_address("192.0.2.1"), 25)), "192.0.2.1:25");
  EXPECT_EQ(FormatEndpoint(tcp::endpoint(asio::ip::make_address("::1"), 2525)), "[::1]:2525");
  EXPECT_EQ(FormatEndpoint(tcp::endpoint(asio::ip::make_address("2001:DB8:0::1"), 25)),
            "[2001:db8::1]:25");
}

}  // namespace
}  // namespace postern::net

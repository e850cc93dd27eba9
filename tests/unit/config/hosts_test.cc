#include "server/config/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postern::config {
namespace {

using ::testing::HasSubstr;

TEST(Endpoint, KnowsWhatOnlyThisHostReaches) {
  for (const char* text : {"127.0.0.1:9090", "127.8.8.8:0", "[::1]:9090", "localhost:80",
                           "unix:/run/postern.sock", "[::ffff:127.0.0.1]:1"}) {
    ASSERT_TRUE(ParseEndpoint(text).ok()) << text << ParseEndpoint(text).status();
    EXPECT_TRUE(ParseEndpoint(text)->loopback) << text;
  }
  for (const char* text : {"0.0.0.0:9090", "192.0.2.1:0", "[::]:9090", "[2001:db8::1]:80"}) {
    ASSERT_TRUE(ParseEndpoint(text).ok()) << text << ParseEndpoint(text).status();
    EXPECT_FALSE(ParseEndpoint(text)->loopback) << text;
  }
}

TEST(Endpoint, SplitsHostAndPort) {
  EXPECT_EQ(ParseEndpoint("127.0.0.1:9090")->host, "127.0.0.1");
  EXPECT_EQ(ParseEndpoint("127.0.0.1:9090")->port, 9090);
  EXPECT_EQ(ParseEndpoint("[::1]:65535")->host, "[::1]");
  EXPECT_EQ(ParseEndpoint("[::1]:65535")->port, 65535);
  EXPECT_EQ(ParseEndpoint("unix:/run/p.sock")->unix_path, "/run/p.sock");
}

TEST(Endpoint, RefusesNamesAndWhatIsIncomplete) {
  for (const char* text :
       {"", ":9090", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:9090",
        "[::1", "[::1]9090", "[127.0.0.1]:90", "mail.example:9090", "unix:", "unix:run/p.sock",
        "127.0.0.1:90x", "http://127.0.0.1:9090"}) {
    EXPECT_EQ(ParseEndpoint(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ParseEndpoint("unix:/" + std::string(107, 'x')).ok());
}

TEST(HostPort, ReadsNamesAndAddresses) {
  EXPECT_EQ(ParseHostPort("MX.example")->host, "mx.example");
  EXPECT_EQ(ParseHostPort("mx.example")->port, 0);
  EXPECT_EQ(ParseHostPort("mx.example:2525")->port, 2525);
  EXPECT_EQ(ParseHostPort("192.0.2.1:25")->host, "192.0.2.1");
  EXPECT_EQ(ParseHostPort("[2001:db8::1]:25")->host, "2001:db8::1");
  EXPECT_EQ(ParseHostPort("[2001:db8::1]:25")->port, 25);
  EXPECT_EQ(ParseHostPort("2001:db8::1")->host, "2001:db8::1");
}

TEST(HostPort, RefusesWhatCannotBeDialled) {
  for (const char* text : {"", ":25", "mx.example:0", "mx.example:x", "mx example", "192.0.2.300",
                           "[mx.example]:25", "a:b:c", "-x.example"}) {
    EXPECT_EQ(ParseHostPort(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(NameServer, IsAnAddress) {
  for (const char* text : {"192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:53", "2001:db8::53"}) {
    EXPECT_TRUE(CheckNameServer(text).ok()) << text;
  }
  EXPECT_THAT(CheckNameServer("ns.example").ToString(), HasSubstr("not by the name"));
}

TEST(AddressBlock, ReadsNetworksAndSingleAddresses) {
  const mail::AddressBlock net = ParseAddressBlock("192.0.2.0/23").value();
  EXPECT_FALSE(net.v6);
  EXPECT_EQ(net.prefix_bits, 23);
  EXPECT_EQ(net.bytes[0], 192);
  EXPECT_EQ(net.bytes[2], 2);
  EXPECT_EQ(ParseAddressBlock("192.0.2.1")->prefix_bits, 32);
  EXPECT_EQ(ParseAddressBlock("0.0.0.0/0")->prefix_bits, 0);
  const mail::AddressBlock v6 = ParseAddressBlock("2001:db8::/32").value();
  EXPECT_TRUE(v6.v6);
  EXPECT_EQ(v6.prefix_bits, 32);
  EXPECT_EQ(v6.bytes[3], 0xb8);
  EXPECT_EQ(ParseAddressBlock("::1")->prefix_bits, 128);
}

TEST(AddressBlock, RefusesBitsBehindThePrefix) {
  EXPECT_THAT(ParseAddressBlock("192.0.2.1/24").status().ToString(), HasSubstr("behind"));
  EXPECT_THAT(ParseAddressBlock("2001:db8::/28").status().ToString(), HasSubstr("behind"));
  for (const char* text : {"", "192.0.2.0/33", "192.0.2.0/", "::/129", "a.example", "192.0.2/24"}) {
    EXPECT_EQ(ParseAddressBlock(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(AddressBlock, HasAMappedTwin) {
  const mail::AddressBlock mapped = MappedBlock(ParseAddressBlock("127.0.0.0/8").value());
  EXPECT_EQ(mapped.text, "::ffff:127.0.0.0/104");
  EXPECT_TRUE(mapped.v6);
  EXPECT_EQ(mapped.prefix_bits, 104);
  EXPECT_EQ(mapped.bytes[11], 0xff);
  EXPECT_EQ(mapped.bytes[12], 127);
}

TEST(DomainGlob, IsADomainASuffixOrAll) {
  for (const char* text : {"*", "*.example", "example.net"}) {
    EXPECT_TRUE(CheckDomainGlob(text).ok()) << text;
  }
  for (const char* text : {"", "*.", "**", "mail.*", "*example", "a b"}) {
    EXPECT_FALSE(CheckDomainGlob(text).ok()) << text;
  }
}

TEST(Name, HasNoSpacesAndNoColons) {
  for (const char* text : {"default", "ip-1.pool_B"}) EXPECT_TRUE(CheckName(text).ok()) << text;
  EXPECT_TRUE(CheckName(std::string(64, 'x')).ok());
  EXPECT_FALSE(CheckName(std::string(65, 'x')).ok());
  for (const char* text : {"", "a b", "a:b", "a/b", "\xc3\xa4"}) {
    EXPECT_FALSE(CheckName(text).ok()) << text;
  }
}

}  // namespace
}  // namespace postern::config

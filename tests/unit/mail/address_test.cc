#include "server/mail/address.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::mail {
namespace {

TEST(AddressTest, KeepsTheLocalPartAndLowersTheDomain) {
  const auto address = ParseAddress("John.Doe+x@Example.COM");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->local, "John.Doe+x");
  EXPECT_EQ(address->domain, "example.com");
}

TEST(AddressTest, AcceptsQuotedStringsLiteralsAndUtf8LocalParts) {
  EXPECT_TRUE(ParseAddress("\"a b\\\"c\"@example.com").ok());
  EXPECT_TRUE(ParseAddress("a@[192.0.2.1]").ok());
  EXPECT_TRUE(ParseAddress("a@[IPv6:2001:db8::1]").ok());
  const auto utf8 = ParseAddress("j\xc3\xb6rg@example.com");
  ASSERT_TRUE(utf8.ok());
  EXPECT_TRUE(utf8->utf8());
}

class BadAddress : public testing::TestWithParam<const char*> {};

TEST_P(BadAddress, IsRefused) {
  const auto address = ParseAddress(GetParam());
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(All, BadAddress,
                         testing::Values("", "a", "@example.com", "a@", "a b@example.com",
                                         ".a@example.com", "a.@example.com", "a..b@example.com",
                                         "a@-x.com", "a@x..com", "a@ex ample.com",
                                         "a@[192.0.2.300]", "a>\r\nRSET@example.com",
                                         "a@example.com\r\nQUIT", "\"a\r\n\"@example.com",
                                         "\"a\"b\"@example.com", "\"a\\\"@example.com",
                                         "a@b\xc3\xbc.example"));

TEST(AddressTest, NoControlCharacterIsAcceptedAnywhere) {
  std::string controls = "\x7f";
  for (char c = 0; c < 0x20; ++c) controls.push_back(c);
  for (const char c : controls) {
    const std::string one(1, c);
    for (const std::string& local :
         {"a" + one, one + "a", "\"" + one + "\"", "\"a\\" + one + "b\"", "\"\\" + one + "\""}) {
      EXPECT_EQ(ParseAddress(local + "@example.com").status().message(),
                "the local part has a control character")
          << int{c};
    }
    for (const std::string& domain :
         {"example.com" + one, "ex" + one + "ample.com", "[192.0.2.1" + one + "]",
          "[192.0.2.1" + one + "junk]", "[IPv6:2001:db8::1" + one + ">]"}) {
      EXPECT_EQ(ParseDomain(domain).status().message(), "the domain has a control character")
          << int{c};
      EXPECT_FALSE(ParseAddress("a@" + domain).ok()) << int{c};
    }
  }
}

TEST(AddressTest, HoldsTheBoundsOfRfc5321) {
  EXPECT_TRUE(ParseAddress(std::string(64, 'a') + "@example.com").ok());
  EXPECT_FALSE(ParseAddress(std::string(65, 'a') + "@example.com").ok());
  EXPECT_FALSE(ParseDomain(std::string(64, 'a') + ".com").ok());
}

}  // namespace
}  // namespace postern::mail

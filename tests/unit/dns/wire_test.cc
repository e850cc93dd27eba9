#include "server/dns/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/unit/dns/dns_packet.h"

namespace postern::dns {
namespace {

using testing::A;
using testing::Aaaa;
using testing::Cname;
using testing::DnsPacket;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Mx;
using testing::Octets;
using testing::PutName;
using testing::PutU16;
using testing::PutU32;
using testing::Soa;

absl::StatusOr<RecordSet> Parse(const DnsPacket& packet) {
  return ParseAnswer(packet.Encode(), static_cast<RecordType>(packet.type));
}

// Header and question of an answer to MX of "example.com", whose name stands at offset 12.
Octets StartOfAnswer(int answers) {
  DnsPacket packet;
  packet.name = "example.com";
  Octets out = packet.Encode();
  out[7] = static_cast<std::uint8_t>(answers);
  return out;
}

void PutRecordHead(Octets& out, int type, std::uint32_t ttl, int length) {
  PutU16(out, type);
  PutU16(out, 1);
  PutU32(out, ttl);
  PutU16(out, length);
}

TEST(WireTest, ReadsMxRecordsWithTheLeastTtl) {
  DnsPacket packet;
  packet.name = "example.com";
  packet.answers = {Mx("Example.COM", 600, 10, "MX1.example.com"),
                    Mx("example.com", 300, 20, "mx2.example.net")};
  const auto set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->status, RecordStatus::kRecords);
  ASSERT_EQ(set->mx.size(), 2U);
  EXPECT_EQ(set->mx[0].preference, 10);
  EXPECT_EQ(set->mx[0].host, "mx1.example.com");
  EXPECT_EQ(set->mx[1].host, "mx2.example.net");
  EXPECT_EQ(set->ttl, absl::Seconds(300));
}

TEST(WireTest, ReadsAddressesOfBothFamilies) {
  DnsPacket packet{.name = "mx.example.com", .type = testing::kTypeA};
  packet.answers = {A("mx.example.com", 60, "192.0.2.1"), A("mx.example.com", 60, "192.0.2.2")};
  auto set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_THAT(set->addresses, ElementsAre(asio::ip::make_address("192.0.2.1"),
                                          asio::ip::make_address("192.0.2.2")));
  packet.type = testing::kTypeAaaa;
  packet.answers = {Aaaa("mx.example.com", 60, "2001:db8::1")};
  set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_THAT(set->addresses, ElementsAre(asio::ip::make_address("2001:db8::1")));
}

TEST(WireTest, FollowsCompressionPointers) {
  Octets packet = StartOfAnswer(1);
  PutU16(packet, 0xC00C);  // example.com
  PutRecordHead(packet, testing::kTypeMx, 60, 2 + 4 + 2);
  PutU16(packet, 5);
  packet.insert(packet.end(), {3, 'm', 'x', '1', 0xC0, 0x0C});
  const auto set = ParseAnswer(packet, RecordType::kMx);
  ASSERT_TRUE(set.ok()) << set.status();
  ASSERT_EQ(set->mx.size(), 1U);
  EXPECT_EQ(set->mx[0].host, "mx1.example.com");
}

TEST(WireTest, ReadsTheRootAsAnEmptyHost) {
  DnsPacket packet{.name = "example.com", .answers = {Mx("example.com", 60, 0, ".")}};
  const auto set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  ASSERT_EQ(set->mx.size(), 1U);
  EXPECT_EQ(set->mx[0].host, "");
}

TEST(WireTest, FollowsACnameChainInAnyOrderAndTakesItsTtl) {
  DnsPacket packet{.name = "www.example.com", .type = testing::kTypeA};
  packet.answers = {A("c.example.net", 600, "192.0.2.7"),
                    Cname("b.example.net", 30, "C.example.net"),
                    Cname("www.example.com", 600, "b.example.net")};
  const auto set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_THAT(set->addresses, ElementsAre(asio::ip::make_address("192.0.2.7")));
  EXPECT_EQ(set->ttl, absl::Seconds(30));
}

TEST(WireTest, RefusesACnameLoop) {
  DnsPacket packet{.name = "a.test",
                   .answers = {Cname("a.test", 60, "b.test"), Cname("b.test", 60, "a.test")}};
  EXPECT_EQ(Parse(packet).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(WireTest, IgnoresRecordsOfNamesThatWereNotAskedFor) {
  DnsPacket packet{.name = "example.com", .answers = {Mx("evil.test", 60, 0, "mx.evil.test")}};
  const auto set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->status, RecordStatus::kNoData);
  EXPECT_TRUE(set->mx.empty());
}

TEST(WireTest, KeepsNegativeAnswersForTheLesserOfSoaTtlAndMinimum) {
  DnsPacket packet{.rcode = 3, .name = "no.test", .authorities = {Soa("test", 900, 300)}};
  auto set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->status, RecordStatus::kNoDomain);
  EXPECT_EQ(set->ttl, absl::Seconds(300));
  packet.rcode = 0;
  packet.authorities = {Soa("test", 120, 300)};
  set = Parse(packet);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->status, RecordStatus::kNoData);
  EXPECT_EQ(set->ttl, absl::Seconds(120));
  packet.authorities.clear();
  EXPECT_EQ(Parse(packet)->ttl, kNegativeTtl);
}

TEST(WireTest, TakesATtlWithTheHighestBitAsZero) {
  DnsPacket packet{.name = "a.test", .answers = {Mx("a.test", 0x80000001U, 0, "mx.test")}};
  EXPECT_EQ(Parse(packet)->ttl, absl::ZeroDuration());
}

TEST(WireTest, NamesOtherRcodes) {
  DnsPacket packet{.rcode = 2, .name = "a.test"};
  EXPECT_EQ(Parse(packet).status(), absl::UnavailableError("SERVFAIL"));
  packet.rcode = 5;
  EXPECT_EQ(Parse(packet).status(), absl::UnavailableError("REFUSED"));
}

TEST(WireTest, EscapesOctetsThatMustNotBeShown) {
  Octets packet = StartOfAnswer(1);
  PutU16(packet, 0xC00C);
  PutRecordHead(packet, testing::kTypeMx, 60, 2 + 7);
  PutU16(packet, 5);
  packet.insert(packet.end(), {5, 'a', '\r', '\n', '.', 0xFF, 0});
  const auto set = ParseAnswer(packet, RecordType::kMx);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->mx.at(0).host, "a\\013\\010\\046\\255");
}

TEST(WireTest, RefusesPointersThatDoNotGoBackwards) {
  for (const int target : {29, 30, 31, 0x3FFF}) {  // 29 is where this record's owner stands
    Octets packet = StartOfAnswer(1);
    ASSERT_EQ(packet.size(), 29U);
    PutU16(packet, 0xC000 | target);
    PutRecordHead(packet, testing::kTypeMx, 60, 0);
    EXPECT_EQ(ParseAnswer(packet, RecordType::kMx).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  // A label, then a pointer to that label: it would grow for ever.
  Octets packet = StartOfAnswer(1);
  packet.insert(packet.end(), {1, 'a', 0xC0, 29});
  PutRecordHead(packet, testing::kTypeMx, 60, 0);
  EXPECT_FALSE(ParseAnswer(packet, RecordType::kMx).ok());
}

TEST(WireTest, RefusesNamesLongerThan255Octets) {
  const std::string label(62, 'x');
  DnsPacket packet{.name = absl::StrCat(label, ".", label, ".", label, ".", label)};
  EXPECT_TRUE(Parse(packet).ok());  // 4 * 63 + 1 = 253
  packet.name += ".yyy";            // 257
  EXPECT_FALSE(Parse(packet).ok());
}

TEST(WireTest, RefusesDataThatDoesNotFillItsLength) {
  for (const int length : {0, 3, 5, 16}) {
    DnsPacket packet{.name = "a.test", .type = testing::kTypeA};
    packet.answers = {{"a.test", testing::kTypeA, 60, Octets(static_cast<std::size_t>(length), 1)}};
    EXPECT_FALSE(Parse(packet).ok()) << length;
  }
  DnsPacket packet{.name = "a.test", .answers = {Mx("a.test", 60, 1, "mx.test")}};
  packet.answers[0].data.push_back(0);
  EXPECT_FALSE(Parse(packet).ok());
}

TEST(WireTest, RefusesAnAnswerToAnotherQuestion) {
  const DnsPacket packet{.name = "a.test", .type = testing::kTypeA};
  EXPECT_FALSE(ParseAnswer(packet.Encode(), RecordType::kMx).ok());
}

TEST(WireTest, RefusesEveryTruncation) {
  DnsPacket packet{.name = "example.com"};
  packet.answers = {Cname("example.com", 60, "b.test"), Mx("b.test", 60, 10, "mx.b.test")};
  packet.authorities = {Soa("test", 900, 300)};
  const Octets whole = packet.Encode();
  ASSERT_TRUE(ParseAnswer(whole, RecordType::kMx).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Octets part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(ParseAnswer(part, RecordType::kMx).ok()) << size;
  }
}

// Under AddressSanitizer this is a small fuzzer: no reading outside, no endless loop, safe names.
TEST(WireTest, SurvivesRandomlyDamagedPackets) {
  DnsPacket packet{.name = "example.com"};
  packet.answers = {Cname("example.com", 60, "b.test"), Mx("b.test", 60, 10, "mx.b.test"),
                    Mx("b.test", 60, 20, "mx2.b.test")};
  packet.authorities = {Soa("test", 900, 300)};
  const Octets whole = packet.Encode();
  std::mt19937 random(20240607);
  std::size_t accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    Octets damaged = whole;
    for (std::uint32_t i = 0, count = 1 + random() % 4; i < count; ++i) {
      std::uint8_t& octet = damaged[random() % damaged.size()];
      octet = random() % 3 == 0 ? 0xC0 : static_cast<std::uint8_t>(random());
    }
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    for (const RecordType type : {RecordType::kMx, RecordType::kA, RecordType::kAaaa}) {
      const auto set = ParseAnswer(damaged, type);
      if (!set.ok()) continue;
      ++accepted;
      for (const MxRecord& mx : set->mx) {
        for (const char c : mx.host) {
          ASSERT_TRUE(absl::ascii_isgraph(static_cast<unsigned char>(c)));
        }
      }
    }
  }
  EXPECT_GT(accepted, 0U);
}

}  // namespace
}  // namespace postern::dns

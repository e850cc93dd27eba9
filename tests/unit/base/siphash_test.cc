#include "server/base/siphash.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"

namespace postern::base {
namespace {

constexpr std::uint64_t kKey0 = 0x0706050403020100;
constexpr std::uint64_t kKey1 = 0x0f0e0d0c0b0a0908;

std::string Counting(int n) {
  std::string bytes;
  for (int i = 0; i < n; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

// The values are those of OpenSSL's SIPHASH with 16 bytes.
TEST(SipHashTest, AgreesWithAnotherImplementation) {
  const std::pair<int, const char*> vectors[] = {
      {0, "a3817f04ba25a8e66df67214c7550293"},  {1, "da87c1d86b99af44347659119b22fc45"},
      {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},  {8, "3b62a9ba6258f5610f83e264f31497b4"},
      {9, "264499060ad9baabc47f8b02bb6d71ed"},  {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
      {16, "6ee2a4ca67b054bbfd3315bf85230577"}, {63, "5150d1772f50834a503e069a973fbd7c"}};
  for (const auto& [length, expected] : vectors) {
    SipHash hash(kKey0, kKey1);
    hash.Add(Counting(length));
    EXPECT_EQ(expected, Hex(hash.Finish())) << length;
  }
}

TEST(SipHashTest, DoesNotDependOnHowTheBytesAreCut) {
  const std::string bytes = Counting(63);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    SipHash hash(kKey0, kKey1);
    hash.Add(bytes.substr(0, cut));
    hash.Add(bytes.substr(cut));
    EXPECT_EQ("5150d1772f50834a503e069a973fbd7c", Hex(hash.Finish())) << cut;
  }
}

}  // namespace
}  // namespace postern::base

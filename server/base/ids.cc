#include "server/base/ids.h"

#include <sys/random.h>

#include <cstring>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "server/base/check.h"

namespace postern::base {
namespace {

std::uint64_t Seed() {
  std::uint64_t seed = 0;
  POSTERN_CHECK(getrandom(&seed, sizeof seed, 0) == static_cast<ssize_t>(sizeof seed));
  return seed;
}

}  // namespace

std::uint64_t RandomUint64() {
  thread_local std::mt19937_64 engine(Seed());
  return engine();
}

Id NewId(absl::Time now) {
  Id id;
  const auto milliseconds = static_cast<std::uint64_t>(absl::ToUnixMillis(now));
  for (std::size_t i = 0; i < 6; ++i) {
    id.bytes[i] = static_cast<unsigned char>(milliseconds >> (40 - 8 * i));
  }
  const std::uint64_t high = RandomUint64();
  const std::uint64_t low = RandomUint64();
  std::memcpy(id.bytes.data() + 6, &high, 8);
  std::memcpy(id.bytes.data() + 14, &low, 2);
  return id;
}

std::string Id::ToString() const { return absl::BytesToHexString(AsKey()); }

std::optional<Id> ParseId(absl::string_view text) {
  if (text.size() != 32) return std::nullopt;
  for (const char c : text) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
  }
  return IdFromKey(absl::HexStringToBytes(text));
}

std::optional<Id> IdFromKey(absl::string_view key) {
  Id id;
  if (key.size() != id.bytes.size()) return std::nullopt;
  std::memcpy(id.bytes.data(), key.data(), key.size());
  return id;
}

}  // namespace postern::base

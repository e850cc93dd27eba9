#include "server/base/siphash.h"

#include <bit>
#include <cstddef>
#include <cstring>

namespace postern::base {
namespace {

std::uint64_t LittleEndian(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  static_assert(std::endian::native == std::endian::little);
  return word;
}

}  // namespace

SipHash::SipHash(std::uint64_t key0, std::uint64_t key1)
    : v0_(key0 ^ 0x736f6d6570736575),
      v1_(key1 ^ 0x646f72616e646f6d ^ 0xee),
      v2_(key0 ^ 0x6c7967656e657261),
      v3_(key1 ^ 0x7465646279746573) {}

void SipHash::Round() {
  v0_ += v1_;
  v1_ = std::rotl(v1_, 13) ^ v0_;
  v0_ = std::rotl(v0_, 32);
  v2_ += v3_;
  v3_ = std::rotl(v3_, 16) ^ v2_;
  v0_ += v3_;
  v3_ = std::rotl(v3_, 21) ^ v0_;
  v2_ += v1_;
  v1_ = std::rotl(v1_, 17) ^ v2_;
  v2_ = std::rotl(v2_, 32);
}

void SipHash::Word(std::uint64_t word) {
  v3_ ^= word;
  Round();
  Round();
  v0_ ^= word;
}

void SipHash::Add(absl::string_view bytes) {
  std::size_t at = 0;
  const auto byte = [&] {
    tail_ |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at])) << 8 * (length_ % 8);
    ++at;
    if (++length_ % 8 != 0) return;
    Word(tail_);
    tail_ = 0;
  };
  while (at < bytes.size() && length_ % 8 != 0) byte();
  for (; bytes.size() - at >= 8; at += 8, length_ += 8) Word(LittleEndian(bytes.data() + at));
  while (at < bytes.size()) byte();
}

Digest SipHash::Finish() {
  Word(tail_ | length_ << 56);
  Digest digest;
  v2_ ^= 0xee;
  for (std::size_t half = 0; half < 2; ++half) {
    for (int i = 0; i < 4; ++i) Round();
    const std::uint64_t word = v0_ ^ v1_ ^ v2_ ^ v3_;
    std::memcpy(digest.data() + 8 * half, &word, sizeof word);
    v1_ ^= 0xdd;
  }
  return digest;
}

}  // namespace postern::base

// SipHash: a 128-bit digest of bytes, SipHash-2-4 of Aumasson and Bernstein with the long output.
//
//   SipHash hash(0, 0);
//   hash.Add("part"), hash.Add("part");   // as one string of bytes: add lengths where that matters
//   const Digest digest = hash.Finish();
//
// About 1.5 GB/s. The same on every machine, so a digest may be stored. A secret key makes it proof
// against chosen input; without one it tells honest input apart, which is what we ask of it.
#pragma once

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::base {

using Digest = std::array<unsigned char, 16>;

class SipHash {
 public:
  SipHash(std::uint64_t key0, std::uint64_t key1);

  void Add(absl::string_view bytes);
  // Once.
  Digest Finish();

 private:
  void Round();
  void Word(std::uint64_t word);

  std::uint64_t v0_, v1_, v2_, v3_;
  std::uint64_t tail_ = 0;    // bytes that do not fill a word yet, the first one lowest
  std::uint64_t length_ = 0;  // of all bytes
};

}  // namespace postern::base

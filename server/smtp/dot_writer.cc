#include "server/smtp/dot_writer.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace postern::smtp {
namespace {

const char* Find(const char* from, const char* end, char c) {
  const void* found = std::memchr(from, c, static_cast<std::size_t>(end - from));
  return found == nullptr ? end : static_cast<const char*>(found);
}

#ifdef __SSE2__
constexpr std::ptrdiff_t kBlockBytes = 64;

struct Block {
  __m128i parts[4];
};

Block Load(const char* from) {
  Block block;
  std::memcpy(&block, from, sizeof block);
  return block;
}

// Bit i is set where octet i of the block is `c`. Written out: -O2 does not unroll.
std::uint64_t BitsOf(const Block& block, char c) {
  const __m128i wanted = _mm_set1_epi8(c);
  const auto bits = [&block, wanted](int i) -> std::uint64_t {
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(block.parts[i], wanted)));
  };
  return bits(0) | bits(1) << 16 | bits(2) << 32 | bits(3) << 48;
}

// The end of a canonical beginning of [p, end), looked at in whole blocks and without regard to
// where lines end: far cheaper than line by line. It never ends between a CR and its LF.
const char* SkipCanonical(const char* p, const char* end, bool line_start) {
  const char* const begin = p;
  std::uint64_t after_cr = 0, after_lf = line_start ? 1 : 0;  // of the block's first octet
  while (end - p >= kBlockBytes) {
    const Block block = Load(p);
    const std::uint64_t cr = BitsOf(block, '\r'), lf = BitsOf(block, '\n');
    const std::uint64_t dot = BitsOf(block, '.');
    const bool paired = ((cr << 1) | after_cr) == lf;
    const bool stuffing = (((lf << 1) | after_lf) & dot) != 0;
    if (!paired || stuffing) break;
    after_cr = cr >> 63;
    after_lf = lf >> 63;
    p += kBlockBytes;
  }
  return p != begin && after_cr != 0 ? p - 1 : p;
}
#else
const char* SkipCanonical(const char* p, const char*, bool) { return p; }
#endif

void AppendRange(const char* begin, const char* end, std::string* out) {
  out->append(begin, static_cast<std::size_t>(end - begin));
}

}  // namespace

void DotWriter::Append(absl::string_view chunk, std::string* out) {
  if (chunk.empty()) return;
  const char* p = chunk.data();
  const char* const end = p + chunk.size();
  if (at_ == At::kAfterCr) {
    if (*p == '\n') ++p;
    at_ = At::kLineStart;
  }
  const char* pending = p;  // [pending, p) goes on the wire as it is
  const char* cr = p;       // the next CR and LF, where they are not before p
  const char* lf = p;
  bool look = true;  // cr and lf are to be found anew
  while (p != end) {
    if (const char* q = SkipCanonical(p, end, at_ == At::kLineStart); q != p) {
      at_ = q[-1] == '\n' ? At::kLineStart : At::kMidLine;
      p = q;
      if (p == end) break;
    }
    if (look || cr < p) cr = Find(p, end, '\r');
    if (look || lf < p) lf = Find(p, end, '\n');
    look = false;
    if (at_ == At::kLineStart && *p == '.') {
      AppendRange(pending, p, out);
      pending = p;
      out->push_back('.');
    }
    const char* const eol = std::min(cr, lf);
    if (eol == end) {
      at_ = At::kMidLine;
      break;
    }
    if (lf != end && cr + 1 == lf) {  // canonical: nothing to change
      p = lf + 1;
      at_ = At::kLineStart;
      continue;
    }
    AppendRange(pending, eol, out);
    out->append("\r\n", 2);
    p = pending = eol + 1;
    // At the end of the chunk it is not known yet whether an LF follows a CR.
    at_ = eol == cr && p == end ? At::kAfterCr : At::kLineStart;
  }
  AppendRange(pending, end, out);
}

void DotWriter::Finish(std::string* out) {
  if (at_ == At::kMidLine) out->append("\r\n", 2);
  out->append(".\r\n", 3);
  at_ = At::kLineStart;
}

void AppendDotted(absl::string_view content, std::string* out) {
  // Room for the usual number of stuffed dots, so that one allocation is enough.
  out->reserve(out->size() + content.size() + content.size() / 64 + 8);
  DotWriter writer;
  writer.Append(content, out);
  writer.Finish(out);
}

}  // namespace postern::smtp

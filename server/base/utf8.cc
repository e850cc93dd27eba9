#include "server/base/utf8.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace postern::base {
namespace {

// The length of the UTF-8 sequence at the start of `text` (RFC 3629); 0 if there is no valid one.
std::size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](std::size_t i, unsigned low, unsigned high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;  // no surrogates
    return tail(1, low, high) && tail(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return tail(1, low, high) && tail(2, 0x80, 0xBF) && tail(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string Utf8(absl::string_view text, std::size_t max_bytes) {
  const bool ascii = std::all_of(text.begin(), text.end(), absl::ascii_isascii);
  if (ascii) return std::string(text.substr(0, max_bytes));
  std::string out;
  while (!text.empty()) {
    const std::size_t length = SequenceLength(text);
    const std::size_t step = std::max<std::size_t>(length, 1);
    if (out.size() + step > max_bytes) break;
    if (length == 0) {
      out.push_back('?');
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(step);
  }
  return out;
}

}  // namespace postern::base

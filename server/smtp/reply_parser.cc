#include "server/smtp/reply_parser.h"

#include <cstring>

#include "absl/status/status.h"

namespace postern::smtp {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The length of the enhanced status code (RFC 3463 §2: class "." subject "." detail) that `text`
// begins with, if it is of the class `class_digit`; 0 if there is none.
std::size_t EnhancedLength(absl::string_view text, char class_digit) {
  if (text.size() < 5 || text[0] != class_digit || class_digit == '3') return 0;
  std::size_t pos = 1;
  for (int part = 0; part < 2; ++part) {
    if (pos >= text.size() || text[pos] != '.') return 0;
    const std::size_t begin = ++pos;
    while (pos < text.size() && IsDigit(text[pos])) ++pos;
    if (pos == begin || pos - begin > 3) return 0;
  }
  return pos == text.size() || text[pos] == ' ' || text[pos] == '\t' ? pos : 0;
}

// The length of the well-formed UTF-8 sequence (RFC 3629) at the front of `text`, which begins with
// an octet above 127; 0 if there is none.
std::size_t Utf8Length(absl::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // bounds of the second octet
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  if (length == 0 || text.size() < length || at(1) < low || at(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// Appends the text of one line. Logs, the spool and protobuf strings take it as it is, so what
// would harm them there becomes '?'.
void AppendClean(absl::string_view text, std::string* out) {
  std::size_t clean = 0;  // text[clean, i) is yet to be appended
  std::size_t i = 0;
  while (i < text.size()) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80 && c >= 0x20 && c != 0x7F) {
      ++i;
      continue;
    }
    const std::size_t length = c < 0x80 ? 0 : Utf8Length(text.substr(i));
    if (length != 0) {
      i += length;
      continue;
    }
    out->append(text.data() + clean, i - clean);
    out->push_back(c == '\t' ? ' ' : '?');
    clean = ++i;
  }
  out->append(text.data() + clean, i - clean);
}

}  // namespace

absl::StatusOr<bool> ReplyParser::Parse(absl::string_view* bytes) {
  while (!bytes->empty()) {
    const void* lf = std::memchr(bytes->data(), '\n', bytes->size());
    const std::size_t length =
        lf == nullptr ? bytes->size()
                      : static_cast<std::size_t>(static_cast<const char*>(lf) - bytes->data());
    const std::size_t taken = lf == nullptr ? length : length + 1;
    // One more than the limit for the CR that may belong to the line's end.
    if (partial_line_.size() + length > kMaxLineBytes + 1) {
      return absl::ResourceExhaustedError("reply line too long");
    }
    reply_bytes_ += taken;
    if (reply_bytes_ > kMaxReplyBytes) return absl::ResourceExhaustedError("reply too long");

    const absl::string_view piece = bytes->substr(0, length);
    bytes->remove_prefix(taken);
    if (lf == nullptr) {
      partial_line_.append(piece.data(), piece.size());
      return false;
    }
    absl::StatusOr<bool> last = false;
    if (partial_line_.empty()) {
      last = TakeLine(piece);
    } else {
      partial_line_.append(piece.data(), piece.size());
      last = TakeLine(partial_line_);
      partial_line_.clear();
    }
    if (!last.ok()) return last;
    if (*last) {
      reply_bytes_ = 0;
      reply_lines_ = 0;
      return true;
    }
  }
  return false;
}

absl::StatusOr<bool> ReplyParser::TakeLine(absl::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.size() > kMaxLineBytes) return absl::ResourceExhaustedError("reply line too long");
  // RFC 5321 §4.2: code, then "-" or SP and text; a code alone is a last line without text.
  const bool well_formed = line.size() >= 3 && line[0] >= '2' && line[0] <= '5' &&
                           IsDigit(line[1]) && IsDigit(line[2]) &&
                           (line.size() == 3 || line[3] == ' ' || line[3] == '-');
  if (!well_formed) return absl::InvalidArgumentError("malformed reply line");
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (reply_lines_ == 0) {
    reply_.code = code;
    reply_.enhanced.clear();
    reply_.text.clear();
  } else if (code != reply_.code) {
    return absl::InvalidArgumentError("reply code changes within one reply");
  } else {
    reply_.text.push_back('\n');
  }
  ++reply_lines_;

  const bool last = line.size() == 3 || line[3] == ' ';
  absl::string_view text = line.size() <= 4 ? absl::string_view() : line.substr(4);
  if (const std::size_t length = EnhancedLength(text, line[0]); length != 0) {
    const absl::string_view enhanced = text.substr(0, length);
    if (reply_.enhanced.empty()) reply_.enhanced.assign(enhanced.data(), enhanced.size());
    if (enhanced == reply_.enhanced) {
      text.remove_prefix(length);
      if (!text.empty()) text.remove_prefix(1);
    }
  }
  AppendClean(text, &reply_.text);
  return last;
}

void ReplyParser::Reset() { *this = ReplyParser(); }

}  // namespace postern::smtp

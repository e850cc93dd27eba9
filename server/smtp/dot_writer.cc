#include "server/smtp/dot_writer.h"

#include <algorithm>
#include <cstring>

namespace postern::smtp {
namespace {

const char* Find(const char* from, const char* end, char c) {
  const void* found = std::memchr(from, c, static_cast<std::size_t>(end - from));
  return found == nullptr ? end : static_cast<const char*>(found);
}

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
  const char* cr = Find(p, end, '\r');
  const char* lf = Find(p, end, '\n');
  while (p != end) {
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
      cr = Find(p, end, '\r');
      lf = Find(p, end, '\n');
      continue;
    }
    AppendRange(pending, eol, out);
    out->append("\r\n", 2);
    p = pending = eol + 1;
    if (eol == cr) {
      // At the end of the chunk it is not known yet whether an LF follows.
      at_ = p == end ? At::kAfterCr : At::kLineStart;
      cr = Find(p, end, '\r');
    } else {
      at_ = At::kLineStart;
      lf = Find(p, end, '\n');
    }
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

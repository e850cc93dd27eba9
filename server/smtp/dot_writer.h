// DotWriter: message content -> what follows a 354, up to and with the final dot (RFC 5321 §4.5.2).
//
//   DotWriter writer;
//   for (absl::string_view chunk : content) writer.Append(chunk, &wire);
//   writer.Finish(&wire);
//
// Whatever the content is: every line on the wire ends in CRLF, a CR or LF never stands alone (each
// lone one is a line end of its own; RFC 5321 §2.3.8), a line that begins with a dot gets another
// one, and CRLF.CRLF comes exactly once, at the end. So no server, however it reads line ends, can
// find the end of the message earlier and take the rest for commands ("SMTP smuggling").
// Content that is canonical already costs one look in whole blocks and one copy. Thread: one at a
// time.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace postern::smtp {

class DotWriter {
 public:
  // Appends `chunk` as it goes on the wire to *out; any split of the content gives the same bytes.
  void Append(absl::string_view chunk, std::string* out);

  // Ends the last line if need be, appends ".\r\n", and is ready for another content.
  void Finish(std::string* out);

 private:
  enum class At : unsigned char {
    kLineStart,  // CRLF went out, and the line end that it stood for is complete
    kAfterCr,    // CRLF went out for a CR: an LF that comes next belongs to it
    kMidLine,
  };
  At at_ = At::kLineStart;
};

// All of `content` and the final dot, appended to *out in one go.
void AppendDotted(absl::string_view content, std::string* out);

}  // namespace postern::smtp

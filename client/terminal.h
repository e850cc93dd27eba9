// What only a terminal is shown: colours, and a line that is written over and over.
#pragma once

#include <chrono>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::client {

// Whether what goes to this descriptor may have colours: it is a terminal, TERM is not "dumb", and
// the variable NO_COLOR is not set (or empty).
bool HasColours(int descriptor);

enum class Colour { kNone, kGood, kWaits, kBad };

// What the name of a state stands for, as ShortName() gives it: "delivered" is good, "deferred"
// waits, "failed" is bad; kNone for words that are neither.
Colour ColourOf(absl::string_view word);

// `text` in a colour; as it is without `colours`.
std::string Paint(const std::string& text, Colour colour, bool colours);

// The same in the colour of what it says.
std::string PaintWord(const std::string& word, bool colours);

// One line on stderr that says how far something is. Nothing when `wanted` is false or stderr is no
// terminal. Clear() before anything else is printed; the destructor does, too. Not thread-safe.
class StatusLine {
 public:
  explicit StatusLine(bool wanted);
  ~StatusLine() { Clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  // Whether Show() would show something now: at most five times a second.
  bool Due() const;
  void Show(const std::string& text);
  void Clear();

 private:
  const bool shown_;
  bool written_ = false;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace postern::client

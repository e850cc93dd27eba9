#include "client/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace postern::client {
namespace {

constexpr std::chrono::milliseconds kShowEvery{200};

template <std::size_t kCount>
bool Contains(const std::array<absl::string_view, kCount>& words, absl::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Dispositions, reasons of queues and rows, decisions.
constexpr std::array<absl::string_view, 1> kGoodWords = {"delivered"};
constexpr std::array<absl::string_view, 8> kWaitingWords = {"deferred",  "cancelled", "mixed",
                                                            "shutdown",  "suspended", "policy_hold",
                                                            "throttled", "in_doubt"};
constexpr std::array<absl::string_view, 11> kBadWords = {
    "failed",       "expired",        "connect_failed", "mx_lookup",
    "host_backoff", "reply_421",      "local_fault",    "greeting_refused",
    "tls_failed",   "protocol_error", "connection_lost"};

const char* Escape(Colour colour) {
  switch (colour) {
    case Colour::kGood:
      return "\033[32m";
    case Colour::kWaits:
      return "\033[33m";
    case Colour::kBad:
      return "\033[31m";
    case Colour::kNone:
      break;
  }
  return "";
}

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

bool HasColours(int descriptor) {
  const char* type = std::getenv("TERM");
  const bool dumb = type != nullptr && absl::string_view(type) == "dumb";
  return isatty(descriptor) != 0 && !dumb && !IsSet("NO_COLOR");
}

Colour ColourOf(absl::string_view word) {
  if (Contains(kGoodWords, word)) return Colour::kGood;
  if (Contains(kWaitingWords, word)) return Colour::kWaits;
  return Contains(kBadWords, word) ? Colour::kBad : Colour::kNone;
}

std::string Paint(const std::string& text, Colour colour, bool colours) {
  if (!colours || colour == Colour::kNone) return text;
  return absl::StrCat(Escape(colour), text, "\033[0m");
}

std::string PaintWord(const std::string& word, bool colours) {
  return Paint(word, colours ? ColourOf(word) : Colour::kNone, colours);
}

StatusLine::StatusLine(bool wanted) : shown_(wanted && isatty(STDERR_FILENO) != 0) {}

bool StatusLine::Due() const { return shown_ && std::chrono::steady_clock::now() >= next_; }

void StatusLine::Show(const std::string& text) {
  if (!Due()) return;
  next_ = std::chrono::steady_clock::now() + kShowEvery;
  written_ = true;
  std::cerr << "\r" << text << "\033[K" << std::flush;
}

void StatusLine::Clear() {
  if (!written_) return;
  written_ = false;
  std::cerr << "\r\033[K" << std::flush;
}

}  // namespace postern::client

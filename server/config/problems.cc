#include "server/config/problems.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace postern::config {
namespace {

constexpr std::size_t kMostListed = 1000;
constexpr std::size_t kMostQuoted = 80;

// The path that holds `path`; "" above the outermost.
std::string Parent(const std::string& path) {
  const std::size_t cut = path.find_last_of(".[");
  return cut == std::string::npos ? std::string() : path.substr(0, cut);
}

}  // namespace

int Problems::LineOf(const std::string& path) const {
  const auto found = lines_.find(path);
  return found == lines_.end() ? 0 : found->second;
}

void Problems::AddUnreadable(int line, const std::string& path, absl::string_view cause) {
  unreadable_.insert(path);
  problems_.push_back({line, path, std::string(cause)});
}

void Problems::Add(const std::string& path, absl::string_view cause) {
  int line = 0;
  for (std::string at = path;; at = Parent(at)) {
    if (unreadable_.contains(at)) return;
    if (line == 0) line = LineOf(at);
    if (at.empty()) break;
  }
  problems_.push_back({line == 0 ? 1 : line, path, std::string(cause)});
}

std::vector<Problem> Problems::List() const {
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  return sorted;
}

absl::Status Problems::ToStatus() const {
  if (problems_.empty()) return absl::OkStatus();
  const std::vector<Problem> sorted = List();
  std::string all;
  for (std::size_t i = 0; i < sorted.size() && i < kMostListed; ++i) {
    const Problem& problem = sorted[i];
    if (i > 0) all += '\n';
    if (!source_.empty()) absl::StrAppend(&all, source_, ":", problem.line, ": ");
    if (!problem.path.empty()) absl::StrAppend(&all, problem.path, ": ");
    all += problem.cause;
  }
  if (sorted.size() > kMostListed) {
    absl::StrAppend(&all, "\n", source_, ": and ", sorted.size() - kMostListed, " more errors");
  }
  return absl::InvalidArgumentError(all);
}

std::string Join(absl::string_view parent, absl::string_view name) {
  return parent.empty() ? std::string(name) : absl::StrCat(parent, ".", name);
}

std::string Element(absl::string_view list, int index) {
  return absl::StrCat(list, "[", index, "]");
}

std::string Quoted(absl::string_view text) {
  const bool cut = text.size() > kMostQuoted;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMostQuoted)), cut ? "..." : "", "\"");
}

}  // namespace postern::config

#include "server/config/problems.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "postern/v1/control.pb.h"

namespace postern::config {
namespace {

constexpr std::size_t kMostListed = 1000;
constexpr std::size_t kMostQuoted = 80;
// What a status carries: an ApplyConfigResponse with its errors.
constexpr char kPayload[] = "type.googleapis.com/postern.v1.ApplyConfigResponse";

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
  return WithProblems(absl::InvalidArgumentError(all), sorted);
}

absl::Status WithProblems(absl::Status status, const std::vector<Problem>& problems) {
  postern::v1::ApplyConfigResponse carried;
  for (const Problem& problem : problems) {
    postern::v1::ConfigError* error = carried.add_errors();
    error->set_line(static_cast<std::uint32_t>(problem.line));
    error->set_path(problem.path);
    error->set_message(problem.cause);
  }
  status.SetPayload(kPayload, absl::Cord(carried.SerializeAsString()));
  return status;
}

std::vector<Problem> ProblemsOf(const absl::Status& status) {
  std::vector<Problem> problems;
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  postern::v1::ApplyConfigResponse carried;
  if (!payload.has_value() || !carried.ParseFromString(std::string(*payload))) return problems;
  for (const postern::v1::ConfigError& error : carried.errors()) {
    problems.push_back({static_cast<int>(error.line()), error.path(), error.message()});
  }
  return problems;
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

#include "server/base/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace postern::base {
namespace {

// Version 1 has no word for "no limit": it is the largest multiple of a page.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<std::uint64_t> ReadNumber(const std::string& path) {
  std::uint64_t value = 0;
  if (!absl::SimpleAtoi(ReadFile(path), &value)) return std::nullopt;  // "max", or not there
  return value;
}

// The number behind a key in a file of "key number" lines.
std::uint64_t ReadField(const std::string& path, absl::string_view key) {
  const std::string text = ReadFile(path);
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    std::uint64_t value = 0;
    if (words.size() == 2 && words[0] == key && absl::SimpleAtoi(words[1], &value)) return value;
  }
  return 0;
}

// The group's path by /proc/self/cgroup, whose lines are "number:controllers:path"; version 2 is
// number 0 without controllers. Nothing: the process is in no such group.
std::optional<std::string> GroupPath(const std::string& text, bool version1) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    bool found = !version1 && parts[0] == "0" && parts[1].empty();
    for (absl::string_view controller : absl::StrSplit(parts[1], ',')) {
      found = found || (version1 && controller == "memory");
    }
    if (found) return std::string(parts[2]);
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t ResidentBytes() {
  const std::string text = ReadFile("/proc/self/statm");
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  std::uint64_t pages = 0;
  if (words.size() < 2 || !absl::SimpleAtoi(words[1], &pages)) return 0;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::optional<std::uint64_t> ControlGroupMemory::Limit() const {
  const std::optional<std::uint64_t> limit =
      ReadNumber(directory_ + (version1_ ? "/memory.limit_in_bytes" : "/memory.max"));
  return limit.has_value() && *limit > 0 && *limit < kNoLimit ? limit : std::nullopt;
}

void HeapTrim::Look() {
  constexpr std::uint64_t kWorth = std::uint64_t{4} << 20;
  const std::uint64_t free = mallinfo2().fordblks;
  if ((free > free_ ? free - free_ : free_ - free) < kWorth) return;
  malloc_trim(0);
  free_ = mallinfo2().fordblks;
}

std::optional<ControlGroupMemory> ControlGroupMemory::Find(const std::string& root) {
  const std::string groups = ReadFile(root + "/proc/self/cgroup");
  std::optional<ControlGroupMemory> best;
  std::uint64_t lowest = kNoLimit;
  for (const bool version1 : {true, false}) {
    std::optional<std::string> path = GroupPath(groups, version1);
    if (!path.has_value()) continue;
    const std::string mount = absl::StrCat(root, "/sys/fs/cgroup", version1 ? "/memory" : "");
    // Upwards to the root of what is mounted. In a container the path may be the host's, and the
    // group itself is what is mounted.
    for (std::string rest = *std::move(path);; rest.resize(rest.rfind('/'))) {
      if (absl::EndsWith(rest, "/")) rest.pop_back();
      const ControlGroupMemory group(mount + rest, version1);
      const std::optional<std::uint64_t> limit = group.Limit();
      if (limit.has_value() && *limit < lowest) {
        lowest = *limit;
        best = group;
      }
      if (rest.rfind('/') == std::string::npos) break;
    }
  }
  return best;
}

std::optional<ControlGroupMemory::Use> ControlGroupMemory::Read() const {
  const std::optional<std::uint64_t> limit = Limit();
  const std::optional<std::uint64_t> current =
      ReadNumber(directory_ + (version1_ ? "/memory.usage_in_bytes" : "/memory.current"));
  if (!limit.has_value() || !current.has_value()) return std::nullopt;
  const std::uint64_t droppable =
      ReadField(directory_ + "/memory.stat", version1_ ? "total_inactive_file" : "inactive_file");
  return Use{*current - std::min(droppable, *current), *limit};
}

}  // namespace postern::base

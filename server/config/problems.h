// Problems: everything that is wrong with one configuration, with line and path.
//
// A path is written as `domains[0].options.retry_schedule[2]`. Thread: one.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace postern::config {

struct Problem {
  int line = 0;      // in the file, from 1
  std::string path;  // "options.retry_schedule[2]"; empty: the text as a whole
  std::string cause;
};

class Problems {
 public:
  // `source` is the file's name in messages; empty for a configuration that came from no file.
  explicit Problems(std::string source) : source_(std::move(source)) {}

  // Says where in the file `path` stands, from 1.
  void SetLine(const std::string& path, int line) { lines_.emplace(path, line); }
  // 0: the file does not have it.
  int LineOf(const std::string& path) const;

  // The text cannot be read as what `path` should be.
  void AddUnreadable(int line, const std::string& path, absl::string_view cause);

  // The value makes no sense. Its line is that of the path, or of the nearest parent in the file.
  // Dropped if the path or a parent of it is unreadable: that would only be a consequence.
  void Add(const std::string& path, absl::string_view cause);

  // The configuration as a whole is unreadable: Add would drop whatever comes.
  bool nothing_readable() const { return unreadable_.contains(""); }

  // All of them, in the order of the lines.
  std::vector<Problem> List() const;

  // OK, or INVALID_ARGUMENT: "file:line: path: cause" for each, in the order of the lines, joined
  // by '\n'. Of more than 1000 the rest is counted. ProblemsOf() has all of them.
  absl::Status ToStatus() const;

 private:
  std::string source_;
  std::vector<Problem> problems_;
  absl::flat_hash_map<std::string, int> lines_;
  absl::flat_hash_set<std::string> unreadable_;
};

// Has `status` carry the problems that it tells of, for those who want them one by one.
absl::Status WithProblems(absl::Status status, const std::vector<Problem>& problems);
// Those that it carries; empty: it is not about what a configuration says.
std::vector<Problem> ProblemsOf(const absl::Status& status);

// "parent.name"; "name" when the parent is the whole configuration.
std::string Join(absl::string_view parent, absl::string_view name);
// "list[index]".
std::string Element(absl::string_view list, int index);
// Text from outside for a message: escaped, in quotes, cut off after 80 bytes.
std::string Quoted(absl::string_view text);

}  // namespace postern::config

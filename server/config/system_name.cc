#include "server/config/system_name.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/mail/address.h"

namespace postern::config {

std::string QualifiedName(absl::string_view kernel_name, absl::string_view hosts) {
  if (absl::StrContains(kernel_name, ".")) return std::string(kernel_name);
  for (absl::string_view line : absl::StrSplit(hosts, '\n')) {
    line = line.substr(0, line.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    bool ours = false;
    absl::string_view qualified;
    for (std::size_t i = 1; i < words.size(); ++i) {  // the first word is the address
      ours = ours || words[i] == kernel_name;
      if (qualified.empty() && absl::StrContains(words[i], ".")) qualified = words[i];
    }
    if (ours && !qualified.empty()) return std::string(qualified);
  }
  return std::string(kernel_name);
}

std::string SystemName() {
  char kernel_name[256] = {};
  if (gethostname(kernel_name, sizeof(kernel_name) - 1) != 0) return "localhost";
  std::ifstream file("/etc/hosts", std::ios::binary);
  const std::string hosts{std::istreambuf_iterator<char>(file), {}};
  const absl::StatusOr<std::string> name = mail::ParseDomain(QualifiedName(kernel_name, hosts));
  return name.ok() ? *name : "localhost";
}

}  // namespace postern::config

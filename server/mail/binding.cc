#include "server/mail/binding.h"

#include <algorithm>

namespace postern::mail {

BindingTable::BindingTable() { SlotOf(kDefaultBinding); }

int BindingTable::SlotOf(absl::string_view name) {
  base::MutexLock lock(mu_);
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found != names_.end()) return static_cast<int>(found - names_.begin());
  names_.emplace_back(name);
  return static_cast<int>(names_.size()) - 1;
}

std::optional<int> BindingTable::Find(absl::string_view name) const {
  base::MutexLock lock(mu_);
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) return std::nullopt;
  return static_cast<int>(found - names_.begin());
}

std::string BindingTable::NameOf(int slot) const {
  base::MutexLock lock(mu_);
  if (slot < 0 || static_cast<std::size_t>(slot) >= names_.size()) return "";
  return names_[static_cast<std::size_t>(slot)];
}

}  // namespace postern::mail

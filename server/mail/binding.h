// BindingTable: the slot of each binding's name.
//
// A slot is given when a name first appears, fixed for the life of the process and never reused.
// Spool and gRPC carry the name; hooks are given the slot. Slot 0 is "default".
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <vector>
#include "absl/strings/string_view.h"

#include "server/base/mutex.h"

namespace postern::mail {

inline constexpr absl::string_view kDefaultBinding = "default";

class BindingTable {
 public:
  BindingTable();
  // The slot of `name`, given now if it has none yet.
  int SlotOf(absl::string_view name);
  // nullopt if no slot was ever given to `name`.
  std::optional<int> Find(absl::string_view name) const;
  // The name of a slot; empty if there is no such slot.
  std::string NameOf(int slot) const;

 private:
  mutable base::Mutex mu_;
  std::vector<std::string> names_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::mail

// AgeBook: how many rows each binding has and how old the oldest is, without looking at the rows.
//
// Rows are counted by the time they were created, in grains of 10 s; a binding takes a counter for
// each grain in which something was created that is still there. Thread: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/time/time.h"

namespace postern::queue {

class AgeBook {
 public:
  static constexpr absl::Duration kGrain = absl::Seconds(10);

  // `slot`: of the binding, from 0. A row is added once, when it comes, and removed once, when it
  // is finished, wherever it is in between. Removing what was not added does nothing.
  void Add(int slot, absl::Time created);
  void Remove(int slot, absl::Time created);

  std::uint64_t rows(int slot) const;
  // When the oldest row of the binding was created, up to kGrain early; infinite future: none.
  absl::Time oldest(int slot) const;
  // One more than the highest slot that was ever used.
  int slots() const { return static_cast<int>(bindings_.size()); }

 private:
  struct Binding {
    std::uint64_t rows = 0;
    std::map<std::int64_t, std::uint64_t> grains;  // none is 0
  };
  const Binding* Find(int slot) const;

  std::vector<Binding> bindings_;  // by slot
};

}  // namespace postern::queue

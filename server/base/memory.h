// How much memory the process takes, and how much it may.
//
// A control group limits what all its processes take together: version 2 (memory.max) or 1
// (memory.limit_in_bytes). Pages of files that the kernel can drop at once do not count as taken:
// a spool fills the page cache without needing it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace postern::base {

// Resident memory of this process; 0 if the system does not tell. Thread: any.
std::uint64_t ResidentBytes();

// Gives memory that the heap holds without need back to the system. Many TLS handshakes side by
// side leave holes of 16 KiB between the small things that sessions keep.
class HeapTrim {
 public:
  // Trims if what is free in the heap has changed much since the last time; a few milliseconds of
  // work then, and nothing else. Call it now and then. Thread: one.
  void Look();

 private:
  std::uint64_t free_ = 0;  // bytes, after the last trim
};

class ControlGroupMemory {
 public:
  struct Use {
    std::uint64_t used = 0;
    std::uint64_t limit = 0;  // more than 0
  };

  // The group of this process, or the one above it with the lowest limit; nothing if there is no
  // limit. `root`: where /proc and /sys are, "" but in tests.
  static std::optional<ControlGroupMemory> Find(const std::string& root = "");

  // As it is now; nothing if it cannot be read or has no limit any more. Thread: any.
  std::optional<Use> Read() const;

 private:
  ControlGroupMemory(std::string directory, bool version1)
      : directory_(std::move(directory)), version1_(version1) {}
  std::optional<std::uint64_t> Limit() const;

  std::string directory_;
  bool version1_;
};

}  // namespace postern::base

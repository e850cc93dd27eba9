// Id: 128-bit identifier of a message or a connection.
//
// The first 48 bits are the time of minting in milliseconds, the rest is random: ids sort by age
// and are unique without coordination. Text form: 32 lower-case hexadecimal digits.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include "absl/strings/string_view.h"

#include "absl/time/time.h"

namespace postern::base {

struct Id {
  std::array<unsigned char, 16> bytes{};

  friend auto operator<=>(const Id&, const Id&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Id& id) {
    return H::combine(std::move(h), id.bytes);
  }

  bool empty() const { return *this == Id{}; }
  std::string ToString() const;
  // The 16 bytes themselves, for use as a key. Valid as long as the Id.
  absl::string_view AsKey() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

// A fresh id. Thread: any; does not lock.
Id NewId(absl::Time now);

// A fresh random number, for the epoch of this process and for jitter. Thread: any.
std::uint64_t RandomUint64();

// The inverse of ToString; nullopt unless `text` is 32 hexadecimal digits.
std::optional<Id> ParseId(absl::string_view text);

// The inverse of AsKey; nullopt unless `key` has 16 bytes.
std::optional<Id> IdFromKey(absl::string_view key);

}  // namespace postern::base

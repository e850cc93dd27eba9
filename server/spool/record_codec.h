// The spool's records: rows and attempt marks as bytes, and their keys. FORMAT.md is the page.
//
// Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/ids.h"
#include "server/mail/row.h"

namespace postern::spool {

// Message id and row index: the key of a row in the column family `state`.
inline constexpr std::size_t kRowKeyBytes = 18;
inline constexpr std::size_t kMarkKeyBytes = 19;  // the row's key and one byte

class RowKey {
 public:
  RowKey(const base::Id& id, std::uint16_t index);
  absl::string_view row() const { return {bytes_.data(), kRowKeyBytes}; }
  // The key of the row's attempt mark; sorts right behind the row's own.
  absl::string_view mark() const { return {bytes_.data(), kMarkKeyBytes}; }

  friend bool operator==(const RowKey&, const RowKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const RowKey& key) {
    return H::combine(std::move(h), key.bytes_);
  }

 private:
  std::array<char, kMarkKeyBytes> bytes_;
};

// The row's index in a key that begins with a row's key.
inline std::uint16_t RowIndex(absl::string_view key) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(key[16]) << 8 |
                                    static_cast<unsigned char>(key[17]));
}

// Lets rows of the same pair share one PairKey. Not thread-safe; lives as long as one scan.
class PairInterner {
 public:
  std::shared_ptr<const mail::PairKey> Intern(const mail::PairKey& pair);

 private:
  absl::flat_hash_map<mail::PairKey, std::shared_ptr<const mail::PairKey>> pairs_;
};

// Which recipients of a row a record holds.
enum class Recipients : std::uint8_t {
  kAll,
  kUnreported,  // those whose disposition is news
};

// The row's value; message id and index are in the key. Times are kept to the microsecond.
// REQUIRES: row.pair is set.
std::string EncodeRow(const mail::Row& row, Recipients which = Recipients::kAll);

// The inverse. UNIMPLEMENTED: a newer version wrote it. DATA_LOSS: anything else that is wrong with
// it. `pairs` may be null.
absl::StatusOr<mail::Row> DecodeRow(absl::string_view key, absl::string_view value,
                                    PairInterner* pairs = nullptr);

// The value of an attempt mark made by the process that has this epoch.
std::string EncodeMark(std::uint64_t epoch);

// True if the mark was made by the process with this epoch; false also if it cannot be read, so
// that an unreadable mark leaves its row in doubt.
bool MarkIsOf(absl::string_view value, std::uint64_t epoch);

// What follows in a mark: the recipients, by index, that the transaction is for; empty: all that
// were not final. The inverse answers empty for what it cannot read, too.
std::string EncodeOffered(const std::vector<std::size_t>& offered);
std::vector<std::size_t> OfferedOf(absl::string_view mark);

}  // namespace postern::spool

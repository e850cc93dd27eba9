// What the spool's reading calls share.
#pragma once

#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/ids.h"

namespace postern::spool {

inline rocksdb::Slice ToSlice(absl::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline absl::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

inline absl::Status ReadError(const char* what, const rocksdb::Status& status) {
  const std::string text = absl::StrCat("spool: cannot read ", what, ": ", status.ToString());
  return status.IsCorruption() ? absl::DataLossError(text) : absl::UnavailableError(text);
}

inline absl::Status Reopening() {
  return absl::UnavailableError("spool: it is being opened again after an error");
}

// The smallest key of a message above `id`; empty if there is none.
inline std::string KeyAbove(const base::Id& id) {
  base::Id next = id;
  for (std::size_t i = next.bytes.size(); i-- > 0;) {
    if (++next.bytes[i] != 0) return std::string(next.AsKey().data(), next.AsKey().size());
  }
  return {};
}

}  // namespace postern::spool

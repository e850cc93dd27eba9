// RecordCache: record sets by name and type until they expire; the least recently used give way.
//
// Thread: one.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/dns/wire.h"

namespace postern::dns {

class RecordCache {
 public:
  // REQUIRES: max_entries > 0. One entry is one name with one type: about three for each domain.
  explicit RecordCache(std::size_t max_entries) : max_entries_(max_entries) {}

  // Null if there is none or it has expired.
  std::shared_ptr<const RecordSet> Find(absl::string_view name, RecordType type, absl::Time now);

  // Keeps `records` until records->expires, in place of what was there.
  void Put(absl::string_view name, RecordType type, std::shared_ptr<const RecordSet> records);

  void Clear() {
    by_key_.clear();
    entries_.clear();
  }

  std::size_t size() const { return by_key_.size(); }

  static std::string Key(absl::string_view name, RecordType type);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const RecordSet> records;
  };
  using Entries = std::list<Entry>;

  void Erase(Entries::iterator entry);

  const std::size_t max_entries_;
  Entries entries_;  // most recently used first; exactly the entries that by_key_ points to
  absl::flat_hash_map<std::string, Entries::iterator> by_key_;
};

}  // namespace postern::dns

#include "server/dns/record_cache.h"

#include "absl/strings/str_cat.h"

namespace postern::dns {

std::string RecordCache::Key(absl::string_view name, RecordType type) {
  return absl::StrCat(RecordTypeName(type), " ", name);
}

std::shared_ptr<const RecordSet> RecordCache::Find(absl::string_view name, RecordType type,
                                                   absl::Time now) {
  const auto found = by_key_.find(Key(name, type));
  if (found == by_key_.end()) return nullptr;
  if (found->second->records->expires <= now) {
    Erase(found->second);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->records;
}

void RecordCache::Put(absl::string_view name, RecordType type,
                      std::shared_ptr<const RecordSet> records) {
  std::string key = Key(name, type);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    found->second->records = std::move(records);
    entries_.splice(entries_.begin(), entries_, found->second);
    return;
  }
  if (by_key_.size() >= max_entries_) Erase(std::prev(entries_.end()));
  entries_.push_front({key, std::move(records)});
  by_key_.emplace(std::move(key), entries_.begin());
}

void RecordCache::Erase(Entries::iterator entry) {
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

}  // namespace postern::dns

#include "server/spool/set_aside.h"

#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "server/base/log.h"

namespace postern::spool {

void SetAside::Add(absl::string_view key, const absl::Status& why) {
  base::Id id;
  std::uint16_t index = 0;
  if (key.size() >= 18) {
    id = *base::IdFromKey(key.substr(0, 16));
    index = static_cast<std::uint16_t>(static_cast<unsigned char>(key[16]) << 8 |
                                       static_cast<unsigned char>(key[17]));
  }
  {
    base::MutexLock lock(mu_);
    std::vector<std::uint16_t>& rows = rows_[id];
    if (std::find(rows.begin(), rows.end(), index) != rows.end()) return;
    rows.push_back(index);
    any_.store(true, std::memory_order_release);
  }
  counter_.Add();
  base::Log().error("spool: record {} set aside: {}", absl::BytesToHexString(key),
                    std::string(why.message()));
}

std::vector<std::uint16_t> SetAside::RowsOf(const base::Id& message_id) const {
  if (!any_.load(std::memory_order_acquire)) return {};
  base::MutexLock lock(mu_);
  const auto found = rows_.find(message_id);
  return found == rows_.end() ? std::vector<std::uint16_t>{} : found->second;
}

}  // namespace postern::spool

#include "server/delivery/batch.h"

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace postern::delivery {
namespace {

using mail::Disposition;

class Chooser {
 public:
  Chooser(const mail::Row& row, const BatchLimits& limits)
      : row_(row),
        most_recipients_(static_cast<std::size_t>(std::max(limits.recipients, 1))),
        most_domains_(static_cast<std::size_t>(std::max(limits.domains, 0))) {}

  // Those of this disposition that got it before that time.
  void Pick(Disposition wanted, absl::Time before) {
    for (std::size_t i = 0; i < row_.recipients.size(); ++i) {
      const mail::Recipient& recipient = row_.recipients[i];
      if (recipient.disposition != wanted || recipient.changed >= before) continue;
      if (chosen_.size() == most_recipients_) return;
      if (FitsDomains(recipient.address)) chosen_.push_back(i);
    }
  }
  std::vector<std::size_t>& chosen() { return chosen_; }

 private:
  bool FitsDomains(absl::string_view address) {
    if (most_domains_ == 0) return true;
    std::string domain = absl::AsciiStrToLower(address.substr(address.rfind('@') + 1));
    if (domains_.contains(domain)) return true;
    if (domains_.size() == most_domains_) return false;
    domains_.insert(std::move(domain));
    return true;
  }

  const mail::Row& row_;
  const std::size_t most_recipients_, most_domains_;
  std::vector<std::size_t> chosen_;
  absl::flat_hash_set<std::string> domains_;  // of those chosen
};

}  // namespace

std::vector<std::size_t> ChooseRecipients(const queue::QueuedRow& queued,
                                          const BatchLimits& limits) {
  Chooser chooser(queued.row, limits);
  chooser.Pick(Disposition::kQueued, absl::InfiniteFuture());
  if (chooser.chosen().empty()) chooser.Pick(Disposition::kDeferred, queued.round_began);
  if (chooser.chosen().empty()) chooser.Pick(Disposition::kDeferred, absl::InfiniteFuture());
  return std::move(chooser.chosen());
}

}  // namespace postern::delivery

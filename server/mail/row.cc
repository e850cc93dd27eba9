#include "server/mail/row.h"

#include <algorithm>

namespace postern::mail {

bool Row::final() const {
  return std::all_of(recipients.begin(), recipients.end(),
                     [](const Recipient& r) { return IsFinal(r.disposition); });
}

void Row::NoteDoubt() {
  in_doubt = std::any_of(recipients.begin(), recipients.end(),
                         [](const Recipient& r) { return r.in_doubt && !IsFinal(r.disposition); });
}

void Row::Doubt(const std::vector<std::size_t>& offered) {
  const auto doubt = [](Recipient& r) { r.in_doubt = !IsFinal(r.disposition); };
  for (const std::size_t i : offered) {
    if (i < recipients.size()) doubt(recipients[i]);
  }
  if (offered.empty()) std::for_each(recipients.begin(), recipients.end(), doubt);
  in_doubt = true;
}

}  // namespace postern::mail

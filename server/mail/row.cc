#include "server/mail/row.h"

#include <algorithm>

namespace postern::mail {

bool Row::final() const {
  return std::all_of(recipients.begin(), recipients.end(),
                     [](const Recipient& r) { return IsFinal(r.disposition); });
}

}  // namespace postern::mail

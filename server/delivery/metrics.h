// DeliveryMetrics: everything that delivery counts. Registered once; shared by all scheduler
// threads.
#pragma once

#include <array>

#include "server/base/metrics.h"
#include "server/mail/conn_error.h"
#include "server/mail/disposition.h"

namespace postern::delivery {

struct DeliveryMetrics {
  explicit DeliveryMetrics(base::Registry& registry);

  base::Counter& accepted_messages;
  base::Counter& recovered_rows;
  base::Counter& content_unreadable;
  base::Counter& in_doubt;
  base::Counter& sessions_cut;
  base::Gauge& queued_rows;
  base::Gauge& open_sessions;
  base::Gauge& dialing;
  base::Gauge& in_transaction;
  base::Gauge& draining;
  base::Histogram& transaction_seconds;
  std::array<base::Counter*, 7> recipients;                            // by Disposition
  std::array<base::Counter*, mail::kConnErrorCount> attempts;          // by -ConnError
  std::array<base::Counter*, mail::kCloseCauseCount> closed_sessions;  // by CloseCause

  base::Counter& Recipients(mail::Disposition d) { return *recipients[static_cast<size_t>(d)]; }
  base::Counter& Attempts(mail::ConnError e) {
    return *attempts[static_cast<size_t>(-static_cast<int>(e))];
  }
  base::Counter& Closed(mail::CloseCause c) { return *closed_sessions[static_cast<size_t>(c)]; }
};

}  // namespace postern::delivery

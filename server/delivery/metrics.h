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
  base::Counter& sessions_opened;
  base::Gauge& queued_rows;
  base::Gauge& open_sessions;
  base::Gauge& dialing;
  base::Gauge& in_transaction;
  base::Gauge& draining;
  base::Histogram& transaction_seconds;
  base::Histogram& mx_lookup_seconds;
  base::Histogram& session_deliveries;
  std::array<base::Histogram*, 7> queue_seconds;                       // by Disposition, if final
  std::array<base::Histogram*, mail::kSmtpStageCount> phase_seconds;   // by SmtpStage
  std::array<base::Counter*, 7> recipients;                            // by Disposition
  std::array<base::Counter*, mail::kConnErrorCount> attempts;          // by -ConnError
  std::array<base::Counter*, mail::kCloseCauseCount> closed_sessions;  // by CloseCause

  // A recipient that has come to this, so long after it was submitted.
  void CountRecipient(mail::Disposition d, absl::Duration age) {
    recipients[static_cast<size_t>(d)]->Add();
    if (base::Histogram* seconds = queue_seconds[static_cast<size_t>(d)]) seconds->Observe(age);
  }
  base::Histogram& Phase(mail::SmtpStage s) { return *phase_seconds[static_cast<size_t>(s)]; }
  base::Counter& Attempts(mail::ConnError e) {
    return *attempts[static_cast<size_t>(-static_cast<int>(e))];
  }
  base::Counter& Closed(mail::CloseCause c) { return *closed_sessions[static_cast<size_t>(c)]; }
};

}  // namespace postern::delivery

#include "server/delivery/metrics.h"

#include "absl/strings/ascii.h"

namespace postern::delivery {

DeliveryMetrics::DeliveryMetrics(base::Registry& r)
    : accepted_messages(
          r.AddCounter("postern_accepted_messages_total", "Messages stored and acknowledged.")),
      recovered_rows(
          r.AddCounter("postern_recovered_rows_total", "Rows read back from the spool at start.")),
      content_unreadable(
          r.AddCounter("postern_content_unreadable_total",
                       "Attempts put off because the spool could not give content.")),
      in_doubt(r.AddCounter("postern_in_doubt_total",
                            "Transactions cut between the final dot and its reply.")),
      sessions_cut(r.AddCounter("postern_sessions_cut_total",
                                "Sessions broken at the end of a drain's budget.")),
      sessions_opened(r.AddCounter("postern_sessions_opened_total", "SMTP connections opened.")),
      queued_rows(r.AddGauge("postern_queued_rows", "Rows in memory: waiting or in a session.")),
      open_sessions(r.AddGauge("postern_open_sessions", "Open SMTP connections.")),
      dialing(r.AddGauge("postern_dialing", "Connections being resolved or opened.")),
      in_transaction(r.AddGauge("postern_open_transactions", "SMTP transactions under way.")),
      draining(r.AddGauge("postern_draining", "1 while draining.")),
      transaction_seconds(r.AddHistogram("postern_transaction_seconds",
                                         "From MAIL FROM to the last reply.",
                                         base::LatencyBounds())),
      mx_lookup_seconds(r.AddHistogram("postern_mx_lookup_seconds",
                                       "From the wish for a connection to the addresses to dial.",
                                       base::LatencyBounds())),
      session_deliveries(r.AddHistogram("postern_session_deliveries",
                                        "Successful deliveries of a connection, when it closes.",
                                        {0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000})) {
  recipients.fill(nullptr);
  queue_seconds.fill(nullptr);
  phase_seconds.fill(nullptr);
  for (int d = 1; d <= 6; ++d) {
    const auto disposition = static_cast<mail::Disposition>(d);
    recipients[static_cast<size_t>(d)] =
        &r.AddCounter("postern_recipients_total",
                      "Recipients by what became of them; deferred counts once an attempt.",
                      {{"disposition", std::string(Name(disposition))}});
    if (!IsFinal(disposition)) continue;
    queue_seconds[static_cast<size_t>(d)] = &r.AddHistogram(
        "postern_queue_seconds", "From submission to the final disposition of a recipient.",
        base::AgeBounds(), {{"disposition", std::string(Name(disposition))}});
  }
  for (int s = 1; s < mail::kSmtpStageCount; ++s) {
    phase_seconds[static_cast<size_t>(s)] = &r.AddHistogram(
        "postern_smtp_phase_seconds",
        "Waiting for the peer, by phase; replies that come together count for the first.",
        base::PeerBounds(), {{"phase", std::string(Name(static_cast<mail::SmtpStage>(s)))}});
  }
  for (int e = 0; e < mail::kConnErrorCount; ++e) {
    const auto error = static_cast<mail::ConnError>(-e);
    attempts[static_cast<size_t>(e)] =
        &r.AddCounter("postern_connection_attempts_total",
                      "Attempts to open an SMTP connection by CONN_ERR code; none: connected.",
                      {{"code", absl::AsciiStrToLower(Name(error))}});
  }
  closed_sessions.fill(nullptr);
  for (int c = 1; c < mail::kCloseCauseCount; ++c) {
    const auto cause = static_cast<mail::CloseCause>(c);
    closed_sessions[static_cast<size_t>(c)] =
        &r.AddCounter("postern_sessions_closed_total", "Closed SMTP connections by cause.",
                      {{"cause", std::string(Name(cause))}});
  }
}

}  // namespace postern::delivery

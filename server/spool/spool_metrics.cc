#include "server/spool/spool_metrics.h"

#include <vector>

namespace postern::spool {
namespace {

const std::vector<double>& BatchBounds() {
  static const std::vector<double>& bounds =
      *new std::vector<double>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return bounds;
}

base::Counter& AddRecords(base::Registry& registry, const char* kind) {
  return registry.AddCounter("postern_spool_records_total", "Records written, by kind",
                             {{"kind", kind}});
}

}  // namespace

SpoolMetrics::SpoolMetrics(base::Registry& registry)
    : batch_size(registry.AddHistogram("postern_spool_batch_size",
                                       "Records written with one commit", BatchBounds())),
      commit_seconds(registry.AddHistogram("postern_spool_commit_seconds",
                                           "Duration of one commit with its sync",
                                           base::LatencyBounds())),
      bytes_written(
          registry.AddCounter("postern_spool_bytes_written_total", "Bytes given to the log")),
      batches(registry.AddCounter("postern_spool_batches_total", "Commits")),
      syncs(registry.AddCounter("postern_spool_syncs_total", "Commits that were synced to disk")),
      stores(AddRecords(registry, "store")),
      updates(AddRecords(registry, "update")),
      marks(AddRecords(registry, "mark")),
      removes(AddRecords(registry, "remove")),
      stores_refused(registry.AddCounter("postern_spool_stores_refused_total",
                                         "Messages refused because they could not be stored")),
      duplicates(registry.AddCounter("postern_spool_duplicate_submissions_total",
                                     "Submissions whose token was known: nothing was stored")),
      outcomes(registry.AddCounter("postern_spool_outcomes_total", "Outcomes recorded")),
      outcomes_dropped(registry.AddCounter("postern_spool_outcomes_dropped_total",
                                           "Outcomes deleted: acknowledged, too old or too many")),
      write_errors(registry.AddCounter("postern_spool_write_errors_total", "Commits that failed")),
      reopens(registry.AddCounter("postern_spool_reopens_total",
                                  "Times the database was closed and opened to recover")),
      records_set_aside(registry.AddCounter("postern_spool_records_set_aside_total",
                                            "Unreadable records, left in place and skipped")),
      log_salvages(registry.AddCounter("postern_spool_log_salvages_total",
                                       "Starts at which a damaged log was copied aside")),
      healthy(registry.AddGauge("postern_spool_healthy", "1 while the disk takes writes")),
      free_bytes(registry.AddGauge("postern_spool_free_bytes",
                                   "Free space on the spool's file system, as last looked at")),
      outcomes_kept(
          registry.AddGauge("postern_spool_outcomes_kept", "Outcomes that can still be read")),
      outcome_bytes(registry.AddGauge("postern_spool_outcome_bytes",
                                      "Size of the records of outcomes that are kept")) {}

}  // namespace postern::spool

// SpoolMetrics: what the spool shows on /metrics, all under postern_spool_.
#pragma once

#include "server/base/metrics.h"

namespace postern::spool {

// References into a registry, which must outlive the spool. Thread: any.
struct SpoolMetrics {
  explicit SpoolMetrics(base::Registry& registry);

  base::Histogram& batch_size;      // records asked for in one write
  base::Histogram& commit_seconds;  // one write, with its sync
  base::Counter& bytes_written;     // into the log
  base::Counter& batches;
  base::Counter& syncs;
  base::Counter& stores;
  base::Counter& updates;
  base::Counter& marks;
  base::Counter& removes;
  base::Counter& stores_refused;
  base::Counter& duplicates;
  base::Counter& outcomes;
  base::Counter& outcomes_dropped;
  base::Counter& write_errors;
  base::Counter& reopens;
  base::Counter& records_set_aside;
  base::Counter& log_salvages;
  base::Gauge& healthy;
  base::Gauge& free_bytes;  // as last looked at
  base::Gauge& outcomes_kept;
  base::Gauge& outcome_bytes;
};

}  // namespace postern::spool

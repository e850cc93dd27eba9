// Counter, Gauge, Histogram and their Registry: what /metrics shows, in Prometheus' text format.
//
//   base::Counter& late = registry.AddCounter("postern_verdicts_late_total", "Verdicts after ...",
//                                             {{"provider", name}});
//   late.Add();
//
// A metric lives as long as its registry; adding one that exists (same name and labels) returns it.
// Label values come from bounded sets (binding, code, cause, client name), never from a domain.
// Thread: any. Add/Set/Observe are relaxed atomics; Registry takes a lock to add and to render.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "absl/strings/string_view.h"

#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace postern::base {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void Add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(std::int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void Add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Observations in seconds (or bytes), in buckets with the upper bounds given at creation.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void Observe(double v);
  void Observe(absl::Duration d) { Observe(absl::ToDoubleSeconds(d)); }

  const std::vector<double>& bounds() const { return bounds_; }
  std::vector<std::uint64_t> counts() const;  // per bucket, the last is +Inf; not cumulative
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// 100 us to 10 s, for latencies.
std::vector<double> LatencyBounds();
// 1 ms to 10 min, for what waits for a peer over the network.
std::vector<double> PeerBounds();
// 100 ms to 5 days, for the life of mail.
std::vector<double> AgeBounds();

class Registry {
 public:
  Counter& AddCounter(std::string name, std::string help, Labels labels = {});
  Gauge& AddGauge(std::string name, std::string help, Labels labels = {});
  // A gauge that is read when /metrics is. `read` must be callable from any thread and not block.
  void AddGaugeFunction(std::string name, std::string help, Labels labels,
                        std::function<double()> read);
  Histogram& AddHistogram(std::string name, std::string help, std::vector<double> bounds,
                          Labels labels = {});
  // `collect` is called at the start of each Render(), to set what is not counted as it happens; on
  // the thread that renders, several at a time, without the registry's lock.
  void AddCollector(std::function<void()> collect);
  // The whole registry in Prometheus' text format 0.0.4, families and series in order of name.
  std::string Render() const;

 private:
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
    std::function<double()> read;
  };
  struct Family {
    std::string help;
    absl::string_view type;
    std::map<std::string, Series> series;  // by rendered labels
  };

  Series& AddSeries(std::string name, std::string help, absl::string_view type,
                    const Labels& labels) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  std::map<std::string, Family> families_ ABSL_GUARDED_BY(mu_);
  std::vector<std::function<void()>> collectors_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::base

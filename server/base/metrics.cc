#include "server/base/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/check.h"

namespace postern::base {
namespace {

std::string RenderLabels(const Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    absl::StrAppend(&text, text.empty() ? "" : ",", key, "=\"",
                    absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                    "\"");
  }
  return text;
}

// Every digit that counts: a rate is the difference of two large sums.
std::string Exact(double value) {
  std::array<char, 32> text{};
  const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), value);
  return std::string(text.data(), end.ptr);
}

std::string Braced(absl::string_view labels, absl::string_view extra = "") {
  if (labels.empty() && extra.empty()) return "";
  return absl::StrCat("{", labels, labels.empty() || extra.empty() ? "" : ",", extra, "}");
}

void RenderHistogram(const std::string& name, const std::string& labels, const Histogram& h,
                     std::string* out) {
  const std::vector<std::uint64_t> counts = h.counts();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    const std::string bound = i < h.bounds().size() ? absl::StrCat(h.bounds()[i]) : "+Inf";
    const std::string le = absl::StrCat("le=\"", bound, "\"");
    absl::StrAppend(out, name, "_bucket", Braced(labels, le), " ", total, "\n");
  }
  absl::StrAppend(out, name, "_sum", Braced(labels), " ", Exact(h.sum()), "\n");
  absl::StrAppend(out, name, "_count", Braced(labels), " ", total, "\n");
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(new std::atomic<std::uint64_t>[bounds_.size() + 1]()) {}

void Histogram::Observe(double v) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
  counts_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

std::vector<std::uint64_t> Histogram::counts() const {
  std::vector<std::uint64_t> result(bounds_.size() + 1);
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = counts_[i].load(std::memory_order_relaxed);
  }
  return result;
}

std::vector<double> LatencyBounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
          0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
}

std::vector<double> PeerBounds() {
  return {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};
}

std::vector<double> AgeBounds() {
  constexpr double kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour;
  return {0.1,   0.5,       1,         5,          15,   kMinute,  5 * kMinute, 15 * kMinute,
          kHour, 3 * kHour, 6 * kHour, 12 * kHour, kDay, 2 * kDay, 5 * kDay};
}

Registry::Series& Registry::AddSeries(std::string name, std::string help, absl::string_view type,
                                      const Labels& labels) {
  Family& family = families_[std::move(name)];
  if (family.type.empty()) {
    family.type = type;
    family.help = std::move(help);
  }
  POSTERN_CHECK(family.type == type);
  return family.series[RenderLabels(labels)];
}

Counter& Registry::AddCounter(std::string name, std::string help, Labels labels) {
  MutexLock lock(mu_);
  Series& series = AddSeries(std::move(name), std::move(help), "counter", labels);
  if (!series.counter) series.counter = std::make_unique<Counter>();
  return *series.counter;
}

Gauge& Registry::AddGauge(std::string name, std::string help, Labels labels) {
  MutexLock lock(mu_);
  Series& series = AddSeries(std::move(name), std::move(help), "gauge", labels);
  if (!series.gauge) series.gauge = std::make_unique<Gauge>();
  return *series.gauge;
}

void Registry::AddGaugeFunction(std::string name, std::string help, Labels labels,
                                std::function<double()> read) {
  MutexLock lock(mu_);
  AddSeries(std::move(name), std::move(help), "gauge", labels).read = std::move(read);
}

Histogram& Registry::AddHistogram(std::string name, std::string help, std::vector<double> bounds,
                                  Labels labels) {
  MutexLock lock(mu_);
  Series& series = AddSeries(std::move(name), std::move(help), "histogram", labels);
  if (!series.histogram) series.histogram = std::make_unique<Histogram>(std::move(bounds));
  return *series.histogram;
}

void Registry::AddCollector(std::function<void()> collect) {
  MutexLock lock(mu_);
  collectors_.push_back(std::move(collect));
}

std::string Registry::Render() const {
  std::vector<std::function<void()>> collectors;
  {
    MutexLock lock(mu_);
    collectors = collectors_;
  }
  for (const auto& collect : collectors) collect();
  std::string out;
  MutexLock lock(mu_);
  for (const auto& [name, family] : families_) {
    absl::StrAppend(&out, "# HELP ", name, " ", family.help, "\n# TYPE ", name, " ", family.type,
                    "\n");
    for (const auto& [labels, series] : family.series) {
      if (series.histogram) {
        RenderHistogram(name, labels, *series.histogram, &out);
      } else if (series.counter) {
        absl::StrAppend(&out, name, Braced(labels), " ", series.counter->value(), "\n");
      } else if (series.gauge) {
        absl::StrAppend(&out, name, Braced(labels), " ", series.gauge->value(), "\n");
      } else if (series.read) {
        absl::StrAppend(&out, name, Braced(labels), " ", Exact(series.read()), "\n");
      }
    }
  }
  return out;
}

}  // namespace postern::base

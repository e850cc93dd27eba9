#include "server/base/metrics.h"

#include <gtest/gtest.h>

namespace postern::base {
namespace {

TEST(MetricsTest, RendersCountersWithLabelsInOrder) {
  Registry registry;
  registry.AddCounter("b_total", "Bees.", {{"kind", "queen"}}).Add(2);
  registry.AddCounter("b_total", "Bees.", {{"kind", "a\"b"}}).Add();
  registry.AddGauge("a", "Ants.").Set(-3);
  EXPECT_EQ(registry.Render(),
            "# HELP a Ants.\n# TYPE a gauge\na -3\n"
            "# HELP b_total Bees.\n# TYPE b_total counter\n"
            "b_total{kind=\"a\\\"b\"} 1\nb_total{kind=\"queen\"} 2\n");
}

TEST(MetricsTest, AddingTwiceGivesTheSameCounter) {
  Registry registry;
  EXPECT_EQ(&registry.AddCounter("x_total", "X."), &registry.AddCounter("x_total", "X."));
}

TEST(MetricsTest, HistogramBucketsAreCumulative) {
  Registry registry;
  Histogram& h = registry.AddHistogram("h_seconds", "H.", {0.5, 1});
  h.Observe(0.5);
  h.Observe(0.75);
  h.Observe(7);
  EXPECT_EQ(registry.Render(),
            "# HELP h_seconds H.\n# TYPE h_seconds histogram\n"
            "h_seconds_bucket{le=\"0.5\"} 1\nh_seconds_bucket{le=\"1\"} 2\n"
            "h_seconds_bucket{le=\"+Inf\"} 3\nh_seconds_sum 8.25\nh_seconds_count 3\n");
}

TEST(MetricsTest, GaugeFunctionIsReadWhenRendered) {
  Registry registry;
  double value = 1;
  registry.AddGaugeFunction("f", "F.", {}, [&value] { return value; });
  value = 2;
  EXPECT_EQ(registry.Render(), "# HELP f F.\n# TYPE f gauge\nf 2\n");
}

TEST(MetricsTest, CollectorsRunBeforeEachRendering) {
  Registry registry;
  int collected = 0;
  registry.AddCollector([&] { registry.AddGauge("g", "G.").Set(++collected); });
  registry.Render();
  EXPECT_EQ(registry.Render(), "# HELP g G.\n# TYPE g gauge\ng 2\n");
}

TEST(MetricsTest, LargeSumsKeepTheirDigits) {
  Registry registry;
  Histogram& h = registry.AddHistogram("h_seconds", "H.", {1});
  h.Observe(123456789.5);
  h.Observe(1e12);
  EXPECT_EQ(registry.Render(),
            "# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"1\"} 0\n"
            "h_seconds_bucket{le=\"+Inf\"} 2\nh_seconds_sum 1000123456789.5\n"
            "h_seconds_count 2\n");
}

}  // namespace
}  // namespace postern::base

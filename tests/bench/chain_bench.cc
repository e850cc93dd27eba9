// What a hook chain costs: with no provider one load and one branch (goal: 2 ns), with one provider
// at most 100 ns beyond the provider, of which ClockReads is what two reads of the clock take.
#include <benchmark/benchmark.h>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "server/hooks/records.h"
#include "server/hooks/registry.h"

namespace postern::hooks {
namespace {

int Keep(void*, delivery_construct*) { return 0; }

void Register(int providers) {
  ResetHooksForTest();
  const absl::Status status = RegisterServerProvider("bench", [&] {
    for (int i = 0; i < providers; ++i) {
      register_core_smtp_should_session_shutdown_hook_last(Keep, nullptr);
    }
  });
  benchmark::DoNotOptimize(status.ok());
  FreezeHooks();
}

void ShouldSessionShutdown(benchmark::State& state) {
  if (state.thread_index() == 0) Register(static_cast<int>(state.range(0)));
  DeliveryConstruct construct;
  for (auto _ : state) {
    benchmark::DoNotOptimize(call_core_smtp_should_session_shutdown_hook(&construct));
  }
}
BENCHMARK(ShouldSessionShutdown)->ArgName("providers")->Arg(0)->Arg(1)->Arg(2)->Arg(4);
BENCHMARK(ShouldSessionShutdown)->ArgName("providers")->Arg(1)->Threads(2);

void HasHook(benchmark::State& state) {
  Register(0);
  for (auto _ : state) benchmark::DoNotOptimize(has_core_smtp_should_session_shutdown_hook());
}
BENCHMARK(HasHook);

void ClockReads(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::chrono::steady_clock::now());
    benchmark::DoNotOptimize(std::chrono::steady_clock::now());
  }
}
BENCHMARK(ClockReads);

// What the limits are about, as it is printed.
class Judge final : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      Check(run, "ShouldSessionShutdown/providers:0", 2);
      Check(run, "ShouldSessionShutdown/providers:1", 100);
    }
  }
  bool missed() const { return missed_; }

 private:
  void Check(const Run& run, const std::string& name, double most) {
    if (run.benchmark_name() != name || run.GetAdjustedCPUTime() <= most) return;
    std::cerr << "missed: " << name << " takes over " << most << " ns\n";
    missed_ = true;
  }

  bool missed_ = false;
};

}  // namespace
}  // namespace postern::hooks

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  postern::hooks::Judge judge;
  benchmark::RunSpecifiedBenchmarks(&judge);
  return judge.missed() ? 1 : 0;
}

// Dispatcher: all of delivery. Owns the scheduler threads, takes mail in, answers and drains.
//
//   Dispatcher dispatcher(context, options, make_resolver);
//   dispatcher.Recover();      // rows of the spool back into their queues
//   dispatcher.Start();
//   ... dispatcher.intake().Submit(...), dispatcher.BeginDrain(...) ...
//   dispatcher.Stop();         // before the spool goes
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/delivery/context.h"
#include "server/delivery/control.h"
#include "server/delivery/intake.h"
#include "server/delivery/messages.h"
#include "server/delivery/operator.h"
#include "server/delivery/queue_metrics.h"
#include "server/delivery/scheduler.h"
#include "server/hooks/observer.h"

namespace postern::delivery {

class Dispatcher final : public Control, public hooks::SessionControl {
 public:
  struct Options {
    int threads = 2;
    IntakeLimits limits;
  };

  // REQUIRES: context and admission outlive this.
  Dispatcher(Context& context, Admission& admission, Options options,
             const Scheduler::MakeResolver& make_resolver);
  ~Dispatcher() override;

  // Reads every row of the spool. Thread: the main thread, before Start().
  absl::Status Recover();
  void Start();
  // Ends the scheduler threads where they are; mail stays in the spool. What waits for the spool is
  // still told, so the spool may go after this and before the dispatcher does.
  void Stop();

  Intake& intake() { return intake_; }
  MessageSource& messages() { return messages_; }
  Operations& operations() { return operator_; }

  // Control
  std::vector<QueueInfo> ListQueues(const std::string& domain_glob,
                                    const std::string& binding) override;
  std::vector<ConnectionEntry> ListConnections() override;
  void BeginDrain(absl::Duration budget) override;
  DrainProgress drain_progress() const override;

  // Another configuration is in force: pairs and sessions look at it now. Thread: any.
  void ConfigurationChanged(const std::optional<std::vector<std::string>>& dns_servers,
                            std::uint64_t max_message_bytes);
  // Once a second: files anew what was in a session when the gateway changed. Thread: one that may
  // wait for the disk.
  void RefileStrays();

  // hooks::SessionControl
  void RequestShutdown(const mail::ConnectionInfo& connection,
                       hooks::ShutdownVerdict verdict) override;

  // Mail by binding slot. A scheduler thread that does not answer within 200 ms is left out with
  // what it said last. For /metrics.
  std::vector<BindingTotals> QueueTotals();

  // True while every scheduler thread makes progress; takes at most 1 s. For /livez.
  bool MakesProgress();

 private:
  Scheduler& SchedulerOf(const std::string& domain);
  // A row that a dead process left in doubt, or that waited with it: tried again, or held.
  void NoteInDoubt(mail::Row& row) const;

  Context& context_;
  std::vector<std::unique_ptr<Scheduler>> schedulers_;
  SpoolIntake intake_;
  SpoolMessages messages_;
  Operator operator_;
  std::atomic<bool> started_{false};
  base::Mutex totals_mu_;
  std::vector<std::vector<BindingTotals>> last_totals_ ABSL_GUARDED_BY(totals_mu_);  // by scheduler
  std::atomic<std::uint64_t> in_doubt_before_drain_{0};
  base::Mutex drain_mu_;
  absl::Time drain_deadline_ ABSL_GUARDED_BY(drain_mu_) = absl::InfiniteFuture();  // steady
};

}  // namespace postern::delivery

#include "server/delivery/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "server/base/log.h"
#include "server/delivery/session.h"
#include "server/queue/message_record.h"

namespace postern::delivery {

Dispatcher::Dispatcher(Context& context, Admission& admission, Options options,
                       const Scheduler::MakeResolver& make_resolver)
    : context_(context),
      intake_(context, admission, options.limits,
              [this](queue::RowPtr row) {
                Scheduler& scheduler = SchedulerOf(row->row.pair->domain);
                scheduler.Enqueue(std::move(row));
              }),
      messages_(context),
      operator_(context, schedulers_, messages_, [this](queue::RowPtr row) {
        Scheduler& scheduler = SchedulerOf(row->row.pair->domain);
        scheduler.Enqueue(std::move(row));
      }) {
  for (int i = 0; i < std::max(options.threads, 1); ++i) {
    schedulers_.push_back(std::make_unique<Scheduler>(context, i, make_resolver));
  }
}

Dispatcher::~Dispatcher() { Stop(); }

Scheduler& Dispatcher::SchedulerOf(const std::string& domain) {
  return *schedulers_[absl::Hash<std::string>{}(domain) % schedulers_.size()];
}

void Dispatcher::NoteInDoubt(mail::Row& row) const {
  const bool hold = context_.options.ForPair(row.pair->domain, row.pair->binding)->in_doubt_hold;
  const absl::Time next_attempt = hold ? absl::InfiniteFuture() : row.next_attempt;
  if (row.reason == mail::RequeueReason::kInDoubt && row.next_attempt == next_attempt) return;
  row.reason = mail::RequeueReason::kInDoubt;
  row.next_attempt = next_attempt;
  context_.spool.Update(row, {});  // for those who ask: they read the spool
}

absl::Status Dispatcher::Recover() {
  // Before any row finds its pair.
  if (absl::Status status = context_.holds.Load(); !status.ok()) return status;
  std::vector<mail::Row> message;  // the rows of one message, collected
  std::uint64_t count = 0;
  const auto take = [&] {
    if (message.empty()) return;
    const bool all_final = std::all_of(message.begin(), message.end(),
                                       [](const mail::Row& row) { return row.final(); });
    if (all_final) {
      // The process died between the last disposition and the deletion.
      context_.spool.Remove(message.front().message_id, message.front().row_count);
    } else {
      for (queue::RowPtr& row : MakeQueued(std::exchange(message, {}))) {
        if (row->row.final()) {
          row->message->Finish();
          continue;
        }
        if (row->row.in_doubt) NoteInDoubt(row->row);
        ++count;
        Scheduler& scheduler = SchedulerOf(row->row.pair->domain);
        scheduler.Enqueue(std::move(row));
      }
    }
    message.clear();
  };
  absl::Status status = context_.spool.ForEachRow(base::Id{}, [&](mail::Row row) {
    if (!message.empty() && message.front().message_id != row.message_id) take();
    message.push_back(std::move(row));
    return true;
  });
  take();
  context_.metrics.recovered_rows.Add(count);
  if (count > 0) base::Log().info("{} rows read back from the spool", count);
  return status;
}

void Dispatcher::Start() {
  for (auto& scheduler : schedulers_) scheduler->Start();
  started_ = true;
  operator_.Refile();  // the configuration may have changed while no process was here
}

void Dispatcher::Stop() {
  started_ = false;
  context_.hosts.Stop();
  context_.contents.Stop();
  for (auto& scheduler : schedulers_) scheduler->Stop();
}

std::vector<QueueInfo> Dispatcher::ListQueues(const std::string& domain_glob,
                                              const std::string& binding) {
  std::vector<QueueInfo> queues;
  if (!started_) return queues;
  const mail::Scope scope{domain_glob.empty() ? "*" : domain_glob, binding};
  const auto match = [&](const mail::PairKey& key) { return scope.Matches(key); };
  for (auto& scheduler : schedulers_) {
    scheduler->Run([&] { scheduler->ListQueues(match, &queues); });
  }
  std::sort(queues.begin(), queues.end(),
            [](const QueueInfo& a, const QueueInfo& b) { return a.pair < b.pair; });
  return queues;
}

std::vector<ConnectionEntry> Dispatcher::ListConnections() {
  std::vector<ConnectionEntry> connections;
  if (!started_) return connections;
  for (auto& scheduler : schedulers_) {
    scheduler->Run([&] { scheduler->ListConnections(&connections); });
  }
  std::sort(connections.begin(), connections.end(),
            [](const auto& a, const auto& b) { return a.info.id < b.info.id; });
  return connections;
}

void Dispatcher::BeginDrain(absl::Duration budget) {
  base::MutexLock lock(drain_mu_);
  const absl::Time deadline = context_.clock.Steady() + budget;
  if (deadline >= drain_deadline_) return;
  drain_deadline_ = deadline;
  if (!context_.draining.load()) {
    in_doubt_before_drain_ = context_.metrics.in_doubt.value();
    context_.draining = true;
    context_.metrics.draining.Set(1);
  }
  base::Log().info("draining: sessions have {} to end", absl::FormatDuration(budget));
  for (auto& scheduler : schedulers_) {
    Scheduler* each = scheduler.get();
    each->Post([each, deadline] { each->BeginDrain(deadline); });
  }
}

DrainProgress Dispatcher::drain_progress() const {
  DrainProgress progress;
  const DeliveryMetrics& metrics = context_.metrics;
  progress.open_sessions = static_cast<std::uint64_t>(metrics.open_sessions.value());
  progress.in_transaction = static_cast<std::uint64_t>(metrics.in_transaction.value());
  progress.queued_rows = static_cast<std::uint64_t>(metrics.queued_rows.value());
  progress.cut = metrics.sessions_cut.value();
  progress.in_doubt = metrics.in_doubt.value() - in_doubt_before_drain_.load();
  // Connections that are still being opened are dropped when the process ends: they carry nothing.
  progress.done = context_.draining.load() && progress.open_sessions == 0;
  return progress;
}

void Dispatcher::ConfigurationChanged(const std::optional<std::vector<std::string>>& dns_servers,
                                      std::uint64_t max_message_bytes) {
  intake_.SetMaxMessageBytes(max_message_bytes);
  for (auto& scheduler : schedulers_) {
    scheduler->Post(
        [each = scheduler.get(), dns_servers] { each->ConfigurationChanged(dns_servers); });
  }
  if (!started_) return;
  operator_.Refile();
  context_.strays.store(true);  // what was submitted meanwhile may have been filed as before
}

void Dispatcher::RefileStrays() {
  if (context_.strays.exchange(false)) operator_.Refile();
}

void Dispatcher::RequestShutdown(const mail::ConnectionInfo& connection,
                                 hooks::ShutdownVerdict verdict) {
  Scheduler* scheduler = &SchedulerOf(connection.pair->domain);
  scheduler->Post([scheduler, id = connection.id, verdict = std::move(verdict)] {
    if (Session* session = scheduler->FindSession(id)) session->RequestShutdown(verdict);
  });
}

std::vector<BindingTotals> Dispatcher::QueueTotals() {
  using Totals = std::vector<BindingTotals>;
  std::vector<std::future<Totals>> answers;
  if (started_) {
    for (auto& scheduler : schedulers_) {
      auto promise = std::make_shared<std::promise<Totals>>();
      answers.push_back(promise->get_future());
      scheduler->Post([promise, each = scheduler.get()] {
        Totals totals;
        each->AddTotals(&totals);
        promise->set_value(std::move(totals));
      });
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  for (auto& answer : answers) answer.wait_until(deadline);
  base::MutexLock lock(totals_mu_);
  last_totals_.resize(schedulers_.size());
  Totals sum;
  for (std::size_t i = 0; i < schedulers_.size(); ++i) {
    Totals& last = last_totals_[i];
    if (i < answers.size() &&
        answers[i].wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      Totals fresh = answers[i].get();
      // A binding that has no mail any more keeps its line.
      fresh.resize(std::max(fresh.size(), last.size()));
      last = std::move(fresh);
    }
    if (sum.size() < last.size()) sum.resize(last.size());
    for (std::size_t slot = 0; slot < last.size(); ++slot) sum[slot].Add(last[slot]);
  }
  return sum;
}

bool Dispatcher::MakesProgress() {
  if (!started_) return true;
  std::vector<std::future<void>> answers;
  for (auto& scheduler : schedulers_) {
    auto promise = std::make_shared<std::promise<void>>();
    answers.push_back(promise->get_future());
    scheduler->Post([promise] { promise->set_value(); });
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  return std::all_of(answers.begin(), answers.end(), [&](std::future<void>& answer) {
    return answer.wait_until(deadline) == std::future_status::ready;
  });
}

}  // namespace postern::delivery

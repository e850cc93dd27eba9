#include "server/delivery/scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <future>
#include <utility>

#include <asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/delivery/connection.h"
#include "server/delivery/session.h"

namespace postern::delivery {
namespace {

constexpr auto kSweepInterval = std::chrono::seconds(10);

}  // namespace

Scheduler::Scheduler(Context& context, int number, const MakeResolver& make_resolver)
    : context_(context),
      number_(number),
      owned_io_(std::make_unique<asio::io_context>(1)),
      io_(*owned_io_),
      resolver_(make_resolver(io_)),
      drain_timer_(std::make_unique<asio::steady_timer>(io_)),
      sweep_timer_(std::make_unique<asio::steady_timer>(io_)),
      work_(io_.get_executor()) {}

Scheduler::~Scheduler() {
  Stop();
  // Sessions hold timers and sockets of the loop, the loop holds the sessions' coroutines: pairs'
  // own timers go first, then the loop with all that waits in it, then the pairs.
  drain_timer_.reset();
  sweep_timer_.reset();
  resolver_.reset();
  for (auto& [key, pair] : pairs_) pair->Detach();
  work_.reset();
  owned_io_.reset();
}

void Scheduler::Stop() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

void Scheduler::Start() {
  DropDisposable();
  thread_ = std::thread([this] {
    const std::string name = absl::StrCat("scheduler-", number_);
    pthread_setname_np(pthread_self(), name.c_str());
    io_.run();
  });
}

void Scheduler::Enqueue(queue::RowPtr row) {
  context_.metrics.queued_rows.Add(1);
  bool first = false;
  {
    base::MutexLock lock(inbox_mu_);
    first = inbox_.empty();
    inbox_.push_back(std::move(row));
  }
  if (first) asio::post(io_, [this] { TakeInbox(); });
}

void Scheduler::TakeInbox() {
  std::vector<queue::RowPtr> rows;
  {
    base::MutexLock lock(inbox_mu_);
    rows.swap(inbox_);
  }
  for (queue::RowPtr& row : rows) {
    Pair& pair = PairOf(row->row.pair);
    ages_.Add(pair.binding_slot(), row->row.created);
    row->row.pair = pair.key_ptr();  // one copy of the key for all rows of the pair
    pair.Add(std::move(row));
    MaintainSoon(&pair);
  }
}

void Scheduler::Post(std::function<void()> task) { asio::post(io_, std::move(task)); }

void Scheduler::Run(const std::function<void()>& task) {
  std::promise<void> done;
  asio::post(io_, [&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

Pair& Scheduler::PairOf(const std::shared_ptr<const mail::PairKey>& key) {
  std::unique_ptr<Pair>& pair = pairs_[*key];
  if (pair == nullptr) pair = std::make_unique<Pair>(context_, *this, key);
  return *pair;
}

std::shared_ptr<hooks::DomainRecord> Scheduler::RecordOf(const std::string& domain) {
  std::weak_ptr<hooks::DomainRecord>& known = records_[domain];
  std::shared_ptr<hooks::DomainRecord> record = known.lock();
  if (record == nullptr) {
    record = MakeDomainRecord(domain);
    known = record;
  }
  return record;
}

void Scheduler::MaintainSoon(Pair* pair) {
  if (!std::exchange(pair->maintenance_due, true)) to_maintain_.push_back(pair);
  if (maintenance_posted_) return;
  maintenance_posted_ = true;
  asio::post(io_, [this] { RunMaintenance(); });
}

void Scheduler::RunMaintenance() {
  maintenance_posted_ = false;
  for (Pair* pair : std::exchange(to_maintain_, {})) {
    pair->maintenance_due = false;
    pair->Maintain();
  }
}

void Scheduler::DropDisposable() {
  absl::erase_if(pairs_, [this](const auto& entry) {
    return entry.second->disposable() && !entry.second->maintenance_due;
  });
  absl::erase_if(records_, [](const auto& entry) { return entry.second.expired(); });
  sweep_timer_->expires_after(kSweepInterval);
  sweep_timer_->async_wait([this](std::error_code error) {
    if (!error) DropDisposable();
  });
}

Session* Scheduler::FindSession(const base::Id& connection) const {
  const auto found = sessions_.find(connection);
  return found == sessions_.end() ? nullptr : found->second;
}

Pair* Scheduler::FindPair(const mail::PairKey& key) const {
  const auto found = pairs_.find(key);
  return found == pairs_.end() ? nullptr : found->second.get();
}

void Scheduler::ForEachPair(const std::function<void(Pair&)>& each) {
  for (auto& [key, pair] : pairs_) each(*pair);
}

void Scheduler::Wake(const base::Id& connection) {
  const auto found = sessions_.find(connection);
  if (found != sessions_.end()) found->second->Wake();
}

void Scheduler::ListQueues(const std::function<bool(const mail::PairKey&)>& match,
                           std::vector<QueueInfo>* out) const {
  for (const auto& [key, pair] : pairs_) {
    if (match(key) && !pair->empty()) out->push_back(pair->info());
  }
}

void Scheduler::AddTotals(std::vector<BindingTotals>* totals) const {
  const auto of = [totals](int slot) -> BindingTotals& {
    const auto index = static_cast<std::size_t>(slot);
    if (index >= totals->size()) totals->resize(index + 1);
    return (*totals)[index];
  };
  for (const auto& [key, pair] : pairs_) {
    if (!pair->empty()) pair->AddTotals(&of(pair->binding_slot()));
  }
  for (int slot = 0; slot < ages_.slots(); ++slot) {
    BindingTotals& binding = of(slot);
    binding.oldest = std::min(binding.oldest, ages_.oldest(slot));
  }
}

void Scheduler::ListConnections(std::vector<ConnectionEntry>* out) const {
  for (const auto& [id, session] : sessions_) out->push_back(session->entry());
  for (const ConnectionEntry* attempt : attempts_) out->push_back(*attempt);
}

void Scheduler::ConfigurationChanged(const std::optional<std::vector<std::string>>& dns_servers) {
  if (dns_servers.has_value()) {
    if (const absl::Status status = resolver_->SetServers(*dns_servers); !status.ok()) {
      base::Log().error("config: dns_servers: {}; those before stay", status.message());
    }
  }
  for (auto& [id, session] : sessions_) session->Wake();
  for (auto& [key, pair] : pairs_) MaintainSoon(pair.get());
}

void Scheduler::BeginDrain(absl::Time deadline) {
  for (auto& [key, pair] : pairs_) pair->BeginDrain();
  for (auto& [id, session] : sessions_) session->Wake();
  const absl::Duration left = std::max(deadline - context_.clock.Steady(), absl::ZeroDuration());
  drain_timer_->expires_after(absl::ToChronoNanoseconds(left));
  drain_timer_->async_wait([this](std::error_code error) {
    if (error) return;
    for (auto& [id, session] : sessions_) {
      context_.metrics.sessions_cut.Add();
      session->Cut(mail::CloseCause::kDrain, "cut at the end of the budget");
    }
  });
}

}  // namespace postern::delivery

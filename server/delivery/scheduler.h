// Scheduler: one thread with its event loop, its resolver and the pairs that belong to it.
//
// A domain belongs to one scheduler (hash), with all its pairs, sessions, limits and hook calls:
// no lock on that path. What comes from other threads is posted.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/base/mutex.h"
#include "server/delivery/context.h"
#include "server/delivery/control.h"
#include "server/delivery/pair.h"
#include "server/delivery/queue_metrics.h"
#include "server/dns/resolver.h"
#include "server/net/tls_context.h"
#include "server/queue/age_book.h"

namespace postern::delivery {

class Scheduler {
 public:
  using MakeResolver = std::function<std::unique_ptr<dns::Resolver>(asio::io_context&)>;

  // The thread starts with Start().
  Scheduler(Context& context, int number, const MakeResolver& make_resolver);
  // Stops the loop, joins the thread and drops what is left; mail stays in the spool.
  ~Scheduler();

  void Start();
  // Ends the thread where it is. What others post from then on stays where it is.
  void Stop();

  // --- Thread: any
  // Takes rows to their pairs. Rows that come in bursts cost one wake-up.
  void Enqueue(queue::RowPtr row);
  void Post(std::function<void()> task);
  // Runs `task` on the thread and waits for it. REQUIRES: not this scheduler's thread; started.
  void Run(const std::function<void()>& task);

  // --- Thread: this scheduler's
  asio::io_context& io() { return io_; }
  dns::Resolver& resolver() { return *resolver_; }
  net::TlsContexts& tls_contexts() { return tls_contexts_; }
  // A row is added when it is taken from the inbox; its pair's recorder removes it.
  queue::AgeBook& ages() { return ages_; }
  Pair& PairOf(const std::shared_ptr<const mail::PairKey>& key);
  std::shared_ptr<hooks::DomainRecord> RecordOf(const std::string& domain);
  // Calls pair->Maintain() once this turn of the loop is over, however often it is asked.
  void MaintainSoon(Pair* pair);

  void AddSession(const base::Id& id, Session* session) { sessions_.emplace(id, session); }
  void RemoveSession(const base::Id& id) { sessions_.erase(id); }
  // Attempts to open a connection, for ListConnections.
  void AddAttempt(const ConnectionEntry* attempt) { attempts_.insert(attempt); }
  void RemoveAttempt(const ConnectionEntry* attempt) { attempts_.erase(attempt); }
  // An idle session looks around.
  void Wake(const base::Id& connection);
  // Null: there is none.
  Session* FindSession(const base::Id& connection) const;
  Pair* FindPair(const mail::PairKey& key) const;
  void ForEachPair(const std::function<void(Pair&)>& each);

  void ListQueues(const std::function<bool(const mail::PairKey&)>& match,
                  std::vector<QueueInfo>* out) const;
  // Adds this thread's queues to the totals of each binding's slot.
  void AddTotals(std::vector<BindingTotals>* totals) const;
  void ListConnections(std::vector<ConnectionEntry>* out) const;
  // Another configuration is in force: everyone looks at it now. `dns_servers`: if they changed.
  void ConfigurationChanged(const std::optional<std::vector<std::string>>& dns_servers);
  // Ends sessions at their boundary; at `deadline` (steady) cuts those that are left. A later call
  // sets another deadline.
  void BeginDrain(absl::Time deadline);

 private:
  void TakeInbox();
  void RunMaintenance();
  void DropDisposable();

  Context& context_;
  const int number_;

  base::Mutex inbox_mu_;
  std::vector<queue::RowPtr> inbox_ ABSL_GUARDED_BY(inbox_mu_);

  queue::AgeBook ages_;
  absl::flat_hash_map<mail::PairKey, std::unique_ptr<Pair>> pairs_;
  absl::flat_hash_map<std::string, std::weak_ptr<hooks::DomainRecord>> records_;
  absl::flat_hash_map<base::Id, Session*> sessions_;
  absl::flat_hash_set<const ConnectionEntry*> attempts_;
  std::vector<Pair*> to_maintain_;
  bool maintenance_posted_ = false;

  // Destroyed before what its coroutines refer to.
  std::unique_ptr<asio::io_context> owned_io_;
  asio::io_context& io_;
  std::unique_ptr<dns::Resolver> resolver_;
  net::TlsContexts tls_contexts_;
  std::unique_ptr<asio::steady_timer> drain_timer_;
  std::unique_ptr<asio::steady_timer> sweep_timer_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace postern::delivery

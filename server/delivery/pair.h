// Pair: one (domain, binding) pair at work: its queue, its connections, and when to open the next.
//
// A pair decides how many connections there should be and what a failed one means for the queue; it
// knows nothing of SMTP. Thread: the scheduler thread that owns it, for everything.
#pragma once

#include <asio/steady_timer.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "server/delivery/context.h"
#include "server/delivery/control.h"
#include "server/delivery/host_table.h"
#include "server/delivery/operations.h"
#include "server/delivery/queue_metrics.h"
#include "server/delivery/recorder.h"
#include "server/hooks/records.h"
#include "server/queue/pair_queue.h"
#include "server/queue/token_bucket.h"

namespace postern::delivery {

class Scheduler;
class Session;

// How a connection ended, for those that decide whether and when there is another one.
struct ConnectionEnd {
  bool connected = false;          // TCP was established
  bool useful = false;             // some transaction was begun
  bool replace_throttled = false;  // ended by a hook, a verdict or the peer: redial_rate applies
  mail::RequeueReason reason = mail::RequeueReason::kConnectFailed;
  std::shared_ptr<const mail::Reply> reply;     // what to show for a failure
  bool limit_changed = false;                   // a new configuration forbade it
  absl::Duration avoid_host;                    // > 0: not to `host` for so long
  std::string host;                             // "192.0.2.1:25" of the last that was dialled
  std::vector<std::string> unreachable;         // hosts that could not be connected to
  bool try_plaintext = false;                   // TLS failed, and may be done without
  std::unique_ptr<HostTable::Permit> permit{};  // try_plaintext: the place is still ours
  // A fault of ours kept it from being dialled; nothing else is said then.
  std::optional<LocalFaults::Suspension> local_fault;
};

// What CancelMessage asks of a row.
struct Cancellation {
  std::vector<std::string> recipients;  // addresses; none: all
  std::shared_ptr<const mail::Reply> reply;
};

// Why a pair may not dial although nothing failed just now.
struct Parking {
  HostTable::Grant grant = HostTable::Grant::kGranted;
  absl::Time until;                                  // steady; infinite: until it is woken
  std::vector<std::string> hosts;                    // whose back-off, or places, it is about
  std::shared_ptr<const mail::Reply> local_fault{};  // not null: that, and no host
};

HostTable::Limits HostLimits(const mail::DeliveryOptions& options);

class Pair {
 public:
  Pair(Context& context, Scheduler& scheduler, std::shared_ptr<const mail::PairKey> key);
  ~Pair();
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  // Files a row: active, or delayed until its next attempt. Maintain() follows.
  void Add(queue::RowPtr row);
  // Looks at everything: deadlines, due rows, idle sessions to wake, connections to open.
  void Maintain();

  // --- for a connection of this pair
  const std::shared_ptr<const mail::DeliveryOptions>& options();
  queue::RowPtr TakeNext();  // null: nothing to do
  // Back to the head of the active queue, as if it had not been taken.
  void PutBack(queue::RowPtr row);
  // A transaction was made and the row is not finished: delayed until row.next_attempt.
  void Defer(queue::RowPtr row, const spool::AttemptRef& attempt);
  void Finish(queue::RowPtr row, const spool::AttemptRef& attempt);
  void NoteSuccess();
  // Fails the next `most` active rows (no such domain, null MX). True: there are more.
  bool FailActive(const std::shared_ptr<const mail::Reply>& reply, std::size_t most);
  // No connection could be used: the queue waits, no row is charged with an attempt.
  void BackOff(mail::RequeueReason reason, std::shared_ptr<const mail::Reply> reply);
  // A walk over the hosts reached none: like BackOff() after mx_failures_to_delay of them in a row,
  // until then tried again soon (host_failure_retry spares the hosts).
  void BackOffUnreachable(const ConnectionEnd& end);
  // Nothing may be dialled now: waits, at least 1 s.
  void Park(Parking parking);
  bool parked() const { return parking_.has_value(); }
  // steady; infinite past: the host may be dialled.
  absl::Time AvoidedUntil(const std::string& host);
  // A session has nothing to do / has not any more.
  void AddIdle(Session* session) { idle_.push_back(session); }
  void RemoveIdle(Session* session) { idle_.remove(session); }
  void OnConnectionEnded(const ConnectionEnd& end);
  // A provider's word: no new connection for so long, but not longer than kLongestPolicyHold.
  void Hold(absl::Duration duration, const std::string& who, const std::string& reason);
  // What keeps the pair from delivering, null if nothing does; valid until the next call.
  const mail::Hold* hold();
  // No delivery at all: sessions end at their boundary.
  bool suspended();
  // There are more connections than max_outbound_connections allows now: true for as many callers
  // as must end theirs, each of which does, with cause limit_changed.
  bool TakeSurplus();
  // Sets the record's fields for a call of post_initiate_connection_smtp.
  void FillRecord(hooks::ConnectionAttempt& attempt);
  hooks::DomainRecord& domain_record() { return *record_; }

  // Lets go of the event loop, which is about to be destroyed.
  void Detach() { timer_.reset(); }

  // Idle sessions end now, the others at their next transaction boundary; no new connection.
  void BeginDrain();

  // --- for an operator; see operations.h
  // Each of these three is one turn of a walk over the rows that wait, and returns how many it
  // concerned. Delayed rows are due from `start` on, those attempted since left out.
  std::uint64_t Flush(queue::RowWalk& walk, absl::Time start);
  // Fails rows that were created before `start`.
  std::uint64_t FailQueued(queue::RowWalk& walk, const std::shared_ptr<const mail::Reply>& reply,
                           absl::Time start);
  // Takes out rows that were created before `start` for the queues they belong to under another
  // binding, records that and adds them to *moved.
  std::uint64_t TakeForBinding(queue::RowWalk& walk, const std::string& binding, absl::Time start,
                               std::vector<queue::RowPtr>* moved);
  // Ends the back-off if the pair has rows of `only` (empty: any); returns how many gain by it.
  std::uint64_t EndBackOff(const base::Id& only);
  void Cancel(const mail::Row& wanted, const Cancellation& cancellation);
  // Settles the row if it is in doubt and not in a session; returns how many were.
  std::uint64_t Resolve(const mail::Row& wanted, Resolution resolution);

  const mail::PairKey& key() const { return *key_; }
  const std::shared_ptr<const mail::PairKey>& key_ptr() const { return key_; }
  int binding_slot() const { return binding_slot_; }
  Context& context() { return context_; }
  Scheduler& scheduler() { return scheduler_; }
  Recorder& recorder() { return recorder_; }
  std::uint64_t due_rows() const { return queue_.active_size(); }
  std::uint64_t queue_depth() const { return queue_.active_size() + queue_.delayed_size(); }
  // No mail and no connection: not worth listing.
  bool empty() const { return queue_.empty() && connections_ == 0 && rows_in_session_ == 0; }
  // Empty, and nothing is remembered here that would be missed.
  bool disposable();
  QueueInfo info() const;
  void AddTotals(BindingTotals* totals) const;

  bool maintenance_due = false;  // the scheduler's note that it is to call Maintain()

 private:
  void ExpireRows(absl::Time now);
  void Expire(queue::RowPtr row, absl::Time now);
  void LeaveSession(const queue::QueuedRow& row);
  std::size_t ConnectionGoal() const;
  // QueueInfo::waiting_for.
  std::optional<mail::RequeueReason> WaitingFor(absl::Time steady) const;
  // From being held for ResolveMessage: it is due now.
  void Release(queue::QueuedRow& row);
  // True when nothing is left of the row, which is then finished.
  bool CancelledMeanwhile(queue::RowPtr& row);
  void OpenConnections();
  bool MayDial(absl::Time steady);
  void WaitUntil(absl::Time steady, mail::RequeueReason reason,
                 std::shared_ptr<const mail::Reply> reply);
  // A turn whose wake reaches `on_wake` with `wait`; see parking_wait_ and recovery_wait_.
  using OnWake = void (Pair::*)(std::uint64_t wait);
  std::unique_ptr<HostTable::Turn> WaitForHosts(HostTable::Grant refused,
                                                const std::vector<std::string>& hosts,
                                                std::uint64_t wait, OnWake on_wake);
  // What the parking is about may be granted; a host of the back-off was reached again.
  void OnParkingWoken(std::uint64_t wait);
  void OnRecovered(std::uint64_t wait);
  // Ends the parking's wait for hosts, but for a turn that a connection may still use.
  void EndWait();
  void EndParking();
  void ArmTimer();

  Context& context_;
  Scheduler& scheduler_;
  const std::shared_ptr<const mail::PairKey> key_;
  const int binding_slot_;
  Recorder recorder_;
  std::shared_ptr<hooks::DomainRecord> record_;
  std::shared_ptr<const mail::DeliveryOptions> options_;
  std::shared_ptr<const mail::DeliveryOptions> waits_by_;  // those that a back-off is about

  queue::PairQueue queue_;
  std::size_t rows_in_session_ = 0;
  // What was asked of rows that are in a session.
  absl::btree_map<queue::RowKey, std::vector<Cancellation>> cancellations_;
  std::optional<mail::Hold> hold_;     // as of the two generations below
  std::uint64_t hold_generation_ = 0;  // of context_.holds
  std::uint64_t hold_options_ = 0;     // of options_
  std::size_t connections_ = 0;        // dialing or open
  std::size_t dialing_ = 0;
  std::size_t surplus_ = 0;  // of those: told by TakeSurplus to end
  std::list<Session*> idle_;

  std::uint64_t attempt_number_ = 0;
  std::uint32_t consecutive_failures_ = 0;
  mail::RequeueReason backoff_reason_ = mail::RequeueReason::kConnectFailed;
  std::shared_ptr<const mail::Reply> last_failure_;       // null: none since the last success
  absl::Time backoff_until_ = absl::InfinitePast();       // steady clock
  absl::Time backoff_until_wall_ = absl::InfinitePast();  // the same moment, to be shown
  std::uint32_t unreachable_ = 0;                         // connections that failed, in a row
  std::uint32_t failed_walks_ = 0;                        // the same, in walks
  bool backoff_is_hosts_ = false;  // the back-off ends when a host is reached
  std::optional<Parking> parking_;
  absl::Time parked_at_ = absl::InfinitePast();  // steady
  // A pair may be parked and in back-off at once: neither wait ends the other. A wake may be on its
  // way when another wait begins: it is of the wait whose number it has.
  std::unique_ptr<HostTable::Turn> turn_;      // of the parking; null: waits for no host
  std::uint64_t parking_wait_ = 0;             // number of the latest
  std::unique_ptr<HostTable::Turn> recovery_;  // of a back-off that is about hosts
  std::uint64_t recovery_wait_ = 0;
  absl::flat_hash_map<std::string, absl::Time> avoided_;  // host -> steady
  std::size_t to_replace_ = 0;  // connections whose successors draw on redial_
  queue::TokenBucket redial_;
  absl::Time redial_at_ = absl::InfinitePast();  // steady; when the next token is there
  std::unique_ptr<asio::steady_timer> timer_;
  absl::Time timer_at_ = absl::InfiniteFuture();  // steady; infinite: not armed
  // Held weakly by the timer's handler, which may be on its way when the pair goes.
  const std::shared_ptr<Pair*> self_ = std::make_shared<Pair*>(this);
  friend class Connection;
};

}  // namespace postern::delivery

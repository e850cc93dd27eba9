#include "server/delivery/pair.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/base/log.h"
#include "server/delivery/connection.h"
#include "server/delivery/routing.h"
#include "server/delivery/scheduler.h"
#include "server/delivery/session.h"
#include "server/queue/retry.h"

namespace postern::delivery {
namespace {

// Without an event of its own a pair looks around this often: the wall clock may have been set.
constexpr absl::Duration kLongestSleep = absl::Seconds(30);
constexpr absl::Duration kSpoolRetry = absl::Milliseconds(200);
constexpr absl::Duration kFirstRedial = absl::Seconds(1);
// A state that lasts is not a storm of attempts.
constexpr absl::Duration kShortestParking = absl::Seconds(1);

mail::RequeueReason ReasonFor(const Parking& parking) {
  if (parking.local_fault != nullptr) return mail::RequeueReason::kLocalFault;
  return parking.grant == HostTable::Grant::kBackedOff ? mail::RequeueReason::kHostBackoff
                                                       : mail::RequeueReason::kThrottled;
}

}  // namespace

HostTable::Limits HostLimits(const mail::DeliveryOptions& options) {
  HostTable::Limits limits;
  limits.per_host = options.max_connections_per_host;
  limits.server = options.server_max_outbound_connections;
  limits.retry = options.host_failure_retry;
  return limits;
}

Pair::Pair(Context& context, Scheduler& scheduler, std::shared_ptr<const mail::PairKey> key)
    : context_(context),
      scheduler_(scheduler),
      key_(std::move(key)),
      binding_slot_(context.bindings.SlotOf(key_->binding)),
      recorder_(context, scheduler.ages(), binding_slot_),
      record_(scheduler.RecordOf(key_->domain)),
      options_(context.options.ForPair(key_->domain, key_->binding)),
      waits_by_(options_),
      redial_(options_->redial_rate, options_->redial_burst),
      timer_(std::make_unique<asio::steady_timer>(scheduler.io())) {}

Pair::~Pair() { context_.board.Clear(*key_); }

const std::shared_ptr<const mail::DeliveryOptions>& Pair::options() {
  if (options_->generation != context_.options.generation()) {
    options_ = context_.options.ForPair(key_->domain, key_->binding);
    redial_.Configure(options_->redial_rate, options_->redial_burst);
    // Nothing else ends a wait for a place that the new limits give.
    if (turn_ != nullptr) turn_->SetLimits(HostLimits(*options_));
  }
  return options_;
}

void Pair::Add(queue::RowPtr row) {
  if (row->row.next_attempt <= context_.clock.Now()) {
    queue_.AddActive(std::move(row));
  } else {
    queue_.AddDelayed(std::move(row));
  }
}

queue::RowPtr Pair::TakeNext() {
  if (!context_.spool.healthy()) return nullptr;
  queue::RowPtr row = queue_.TakeNext();
  // Its deadline would break a good connection at once.
  const absl::Time now = context_.clock.Now();
  while (row != nullptr && row->row.expires <= now) {
    Expire(std::move(row), now);
    row = queue_.TakeNext();
  }
  if (row == nullptr) return nullptr;
  ++rows_in_session_;
  context_.open_rows.Add(row->row);
  return row;
}

void Pair::LeaveSession(const queue::QueuedRow& row) {
  --rows_in_session_;
  context_.open_rows.Remove(row.row);
}

void Pair::PutBack(queue::RowPtr row) {
  LeaveSession(*row);
  if (CancelledMeanwhile(row)) return;
  queue_.AddActiveFirst(std::move(row));
}

void Pair::Defer(queue::RowPtr row, const spool::AttemptRef& attempt) {
  LeaveSession(*row);
  // What the transaction came to, before what an operator wants instead.
  recorder_.Save(*row, attempt);
  if (CancelledMeanwhile(row)) return;
  queue_.AddDelayed(std::move(row));
  scheduler_.MaintainSoon(this);  // its due time: the session may idle past it
}

void Pair::Finish(queue::RowPtr row, const spool::AttemptRef& attempt) {
  LeaveSession(*row);
  cancellations_.erase(queue::RowKey{row->row.message_id, row->row.index});
  recorder_.Finish(std::move(row), attempt);
}

void Pair::NoteSuccess() {
  last_failure_ = nullptr;
  unreachable_ = failed_walks_ = 0;
  if (consecutive_failures_ == 0 && !backoff_is_hosts_) return;
  consecutive_failures_ = 0;
  backoff_is_hosts_ = false;
  backoff_until_ = backoff_until_wall_ = absl::InfinitePast();
  context_.board.Clear(*key_);
}

bool Pair::FailActive(const std::shared_ptr<const mail::Reply>& reply, std::size_t most) {
  for (; most > 0; --most) {
    queue::RowPtr row = queue_.TakeNext();
    if (row == nullptr) return false;
    recorder_.FinishAs(std::move(row), mail::Disposition::kFailed, reply);
  }
  return queue_.active_size() > 0;
}

void Pair::BackOff(mail::RequeueReason reason, std::shared_ptr<const mail::Reply> reply) {
  const absl::Time steady = context_.clock.Steady();
  last_failure_ = reply;
  // Connections that fail side by side are one failure.
  if (steady < backoff_until_) return;
  ++consecutive_failures_;
  backoff_is_hosts_ = false;
  WaitUntil(steady + queue::RetryDelay(*options(), consecutive_failures_, base::RandomUint64()),
            reason, std::move(reply));
}

void Pair::WaitUntil(absl::Time steady, mail::RequeueReason reason,
                     std::shared_ptr<const mail::Reply> reply) {
  backoff_until_ = steady;
  backoff_reason_ = reason;
  backoff_until_wall_ = context_.clock.Now() + (steady - context_.clock.Steady());
  context_.board.Set(*key_, PairTrouble{backoff_until_wall_, reason, std::move(reply)});
}

void Pair::BackOffUnreachable(const ConnectionEnd& end) {
  const absl::Time steady = context_.clock.Steady();
  last_failure_ = end.reply;
  if (steady < backoff_until_) return;
  unreachable_ += static_cast<std::uint32_t>(end.unreachable.size());
  ++failed_walks_;
  const auto limit = static_cast<std::uint32_t>(std::max(options()->mx_failures_to_delay, 1));
  if (unreachable_ >= limit) {
    BackOff(end.reason, end.reply);
  } else {
    // Doubles from a second, but is never longer than the first step of the schedule.
    const absl::Duration soon = kFirstRedial * (1 << std::min(failed_walks_ - 1, 6U));
    WaitUntil(steady + std::min(soon, queue::RetryDelay(*options(), 1, base::RandomUint64())),
              end.reason, end.reply);
  }
  backoff_is_hosts_ = true;
  recovery_ = WaitForHosts(HostTable::Grant::kBackedOff, end.unreachable, ++recovery_wait_,
                           &Pair::OnRecovered);
}

void Pair::Park(Parking parking) {
  parked_at_ = context_.clock.Steady();
  parking.until = std::max(parking.until, parked_at_ + kShortestParking);
  const absl::Time wall = parking.until == absl::InfiniteFuture()
                              ? absl::InfiniteFuture()
                              : context_.clock.Now() + (parking.until - parked_at_);
  const bool local = parking.local_fault != nullptr;
  if (local) last_failure_ = parking.local_fault;
  context_.board.Set(*key_, PairTrouble{wall, ReasonFor(parking), parking.local_fault});
  parking_ = std::move(parking);
  ++parking_wait_;
  turn_.reset();
  if (local) return;
  turn_ = WaitForHosts(parking_->grant, parking_->hosts, parking_wait_, &Pair::OnParkingWoken);
}

std::unique_ptr<HostTable::Turn> Pair::WaitForHosts(HostTable::Grant refused,
                                                    const std::vector<std::string>& hosts,
                                                    std::uint64_t wait, OnWake on_wake) {
  auto waiter = std::make_shared<HostWaiter>(
      [&scheduler = scheduler_, weak = std::weak_ptr<Pair*>(self_), wait, on_wake] {
        scheduler.Post([weak, wait, on_wake] {
          if (const auto self = weak.lock()) ((*self)->*on_wake)(wait);
        });
      });
  return context_.hosts.Wait(refused, hosts, HostLimits(*options()), std::move(waiter));
}

void Pair::EndWait() {
  if (turn_ != nullptr && !turn_->offered()) turn_.reset();
}

void Pair::OnParkingWoken(std::uint64_t wait) {
  if (parking_.has_value() && wait == parking_wait_) {
    parking_->until = std::max(context_.clock.Steady(), parked_at_ + kShortestParking);
  }
  scheduler_.MaintainSoon(this);
}

void Pair::OnRecovered(std::uint64_t wait) {
  if (!backoff_is_hosts_ || wait != recovery_wait_) return;
  backoff_until_ = backoff_until_wall_ = absl::InfinitePast();
  backoff_is_hosts_ = false;
  consecutive_failures_ = 0;
  if (!parking_.has_value()) context_.board.Clear(*key_);
  scheduler_.MaintainSoon(this);
}

void Pair::EndParking() {
  if (!parking_.has_value() || parking_->until > context_.clock.Steady()) return;
  parking_.reset();
  EndWait();
  if (backoff_until_ <= context_.clock.Steady()) context_.board.Clear(*key_);
}

absl::Time Pair::AvoidedUntil(const std::string& host) {
  const auto found = avoided_.find(host);
  if (found == avoided_.end()) return absl::InfinitePast();
  if (found->second > context_.clock.Steady()) return found->second;
  avoided_.erase(found);
  return absl::InfinitePast();
}

void Pair::OnConnectionEnded(const ConnectionEnd& end) {
  --connections_;
  --dialing_;
  context_.metrics.dialing.Add(-1);
  if (end.replace_throttled) ++to_replace_;
  if (end.avoid_host > absl::ZeroDuration()) {
    absl::Time& until = avoided_[end.host];
    until = std::max(until, context_.clock.Steady() + end.avoid_host);
  }
  if (end.limit_changed && surplus_ > 0) --surplus_;
  scheduler_.MaintainSoon(this);
}

void Pair::Hold(absl::Duration duration, const std::string& who, const std::string& reason) {
  mail::Hold hold;
  hold.kind = mail::Hold::Kind::kPolicy;
  hold.scope = {key_->domain, key_->binding};
  hold.who = who;
  hold.reason = reason;
  hold.since = context_.clock.Now();
  hold.until = hold.since + std::min(duration, mail::kLongestPolicyHold);
  base::Log().info("{} holds {} for {}: {}", who, hold.scope.ToString(),
                   absl::FormatDuration(hold.until - hold.since), absl::Utf8SafeCEscape(reason));
  const absl::Status put = context_.holds.Put(std::move(hold));
  POSTERN_CHECK(put.ok());  // only suspensions are limited
}

bool Pair::TakeSurplus() {
  const auto most = static_cast<std::size_t>(options()->max_outbound_connections);
  if (connections_ - std::min(surplus_, connections_) <= most) return false;
  ++surplus_;
  return true;
}

void Pair::FillRecord(hooks::ConnectionAttempt& attempt) {
  attempt.attempt_number = ++attempt_number_;
  attempt.queue_depth = due_rows();
  attempt.probable_message_id = queue_.head() == nullptr ? base::Id{} : queue_.head()->message_id;
}

void Pair::ExpireRows(absl::Time now) {
  for (queue::RowPtr& row : queue_.TakeExpired(now)) Expire(std::move(row), now);
}

void Pair::Expire(queue::RowPtr row, absl::Time now) {
  std::string last;
  for (const mail::Recipient& recipient : row->row.recipients) {
    if (recipient.last_reply != nullptr && !IsFinal(recipient.disposition)) {
      last = absl::StrCat("; last reply: ", recipient.last_reply->ToString());
    }
  }
  auto reply = std::make_shared<const mail::Reply>(mail::InternalReply(
      554, row->row.attempts == 0 ? "5.4.5" : "5.4.7",
      absl::StrCat("message expired after ",
                   absl::FormatDuration(absl::Trunc(now - row->row.created, absl::Seconds(1))),
                   last),
      mail::SmtpStage::kNone));
  recorder_.FinishAs(std::move(row), mail::Disposition::kExpired, reply);
}

bool Pair::MayDial(absl::Time steady) {
  if (to_replace_ == 0) return true;
  if (!redial_.Take(steady)) {
    redial_at_ = redial_.NextToken(steady);
    return false;
  }
  --to_replace_;
  redial_at_ = absl::InfinitePast();
  return true;
}

std::size_t Pair::ConnectionGoal() const {
  return queue::ConnectionGoal(*options_, queue_.active_size() + rows_in_session_);
}

void Pair::OpenConnections() {
  const absl::Time steady = context_.clock.Steady();
  if (hold() != nullptr) return;
  // Other threads change these, also while attempts are started here.
  const auto may_open = [this] {
    return !context_.draining.load(std::memory_order_relaxed) && context_.spool.healthy();
  };
  options();  // the present ones
  const std::size_t goal = ConnectionGoal();
  // Rows that open or coming connections will take anyway need no further ones. An attempt that has
  // nothing to wait for has ended when Start() returns, and may have parked the pair.
  while (may_open() && !parking_.has_value() && steady >= backoff_until_ &&
         queue_.active_size() > dialing_ && connections_ < goal && MayDial(steady)) {
    ++connections_;
    ++dialing_;
    context_.metrics.dialing.Add(1);
    std::unique_ptr<HostTable::Turn> turn;
    if (turn_ != nullptr && turn_->offered()) turn = std::move(turn_);
    Connection::Start(*this, std::move(turn));
  }
}

void Pair::Maintain() {
  const absl::Time now = context_.clock.Now();
  options();  // the present ones
  // Other hosts, or another way to them: what is known of the former is no reason to wait.
  if (waits_by_ != options_ && !DialAlike(*std::exchange(waits_by_, options_), *options_)) {
    EndBackOff(base::Id{});
  }
  ExpireRows(now);
  queue_.Promote(now);
  EndParking();
  if (consecutive_failures_ == 0 && backoff_until_ != absl::InfinitePast() &&
      backoff_until_ <= context_.clock.Steady()) {
    backoff_until_ = backoff_until_wall_ = absl::InfinitePast();
    context_.board.Clear(*key_);
  }
  std::size_t to_wake = suspended() ? idle_.size() : queue_.active_size();
  for (auto it = idle_.begin(); it != idle_.end() && to_wake > 0; --to_wake) (*it++)->Wake();
  // An idle session that was woken takes its row in its own turn; it counts as a connection.
  if (idle_.empty() || queue_.active_size() > idle_.size()) OpenConnections();
  // The turn of who does not dial now goes to the next who waits.
  const bool parked_for_mail = parking_.has_value() && queue_.active_size() > 0;
  if (turn_ != nullptr && turn_->offered() && !parked_for_mail) turn_.reset();
  ArmTimer();
}

void Pair::ArmTimer() {
  const absl::Time steady = context_.clock.Steady();
  absl::Time at = absl::InfiniteFuture();
  const absl::Time event = queue_.next_event();
  if (event != absl::InfiniteFuture()) {
    at = steady + std::min(kLongestSleep, event - context_.clock.Now());
  }
  if (queue_.active_size() > 0) {
    if (backoff_until_ > steady) at = std::min(at, backoff_until_);
    if (redial_at_ > steady) at = std::min(at, redial_at_);
    if (parking_.has_value()) at = std::min(at, parking_->until);
    if (const mail::Hold* held = hold(); held != nullptr && held->until != absl::InfiniteFuture()) {
      at = std::min(at, steady + std::min(kLongestSleep, held->until - context_.clock.Now()));
    }
    if (!context_.spool.healthy()) at = std::min(at, steady + kSpoolRetry);
  }
  if (at == absl::InfiniteFuture() || (timer_at_ <= at && timer_at_ > steady)) return;
  timer_at_ = at;
  timer_->expires_after(absl::ToChronoNanoseconds(std::max(at - steady, absl::Milliseconds(1))));
  timer_->async_wait([weak = std::weak_ptr<Pair*>(self_)](std::error_code error) {
    const std::shared_ptr<Pair*> self = weak.lock();
    if (error || self == nullptr) return;
    (*self)->timer_at_ = absl::InfiniteFuture();
    (*self)->Maintain();
  });
}

void Pair::BeginDrain() {
  // Wake() makes an idle session look at context_.draining; it leaves the list by itself.
  for (auto it = idle_.begin(); it != idle_.end();) (*it++)->Wake();
}

bool Pair::disposable() {
  const absl::Time steady = context_.clock.Steady();
  absl::erase_if(avoided_, [&](const auto& entry) { return entry.second <= steady; });
  return empty() && backoff_until_ <= steady && avoided_.empty() &&
         (to_replace_ == 0 || redial_.Full(steady));
}

void Pair::AddTotals(BindingTotals* totals) const {
  ++totals->queues;
  totals->active += queue_.active_size();
  totals->delayed += queue_.delayed_size();
  totals->in_session += rows_in_session_;
}

std::optional<mail::RequeueReason> Pair::WaitingFor(absl::Time steady) const {
  if (queue_.active_size() == 0) return std::nullopt;
  if (context_.draining.load(std::memory_order_relaxed)) return mail::RequeueReason::kSessionEnded;
  if (!context_.spool.healthy()) return mail::RequeueReason::kLocalFault;
  if (backoff_until_ > steady) return backoff_reason_;
  if (parking_.has_value()) return ReasonFor(*parking_);
  if (redial_at_ > steady) return mail::RequeueReason::kThrottled;
  return std::nullopt;
}

QueueInfo Pair::info() const {
  QueueInfo info;
  info.pair = *key_;
  info.binding_slot = binding_slot_;
  info.active = queue_.active_size();
  info.delayed = queue_.delayed_size();
  info.in_session = rows_in_session_;
  info.open_connections = connections_ - dialing_;
  info.dialing = dialing_;
  info.connection_goal = ConnectionGoal();
  info.last_failure = last_failure_;
  info.config_generation = options_->generation;
  info.oldest = queue_.oldest();
  info.next_attempt = queue_.next_due();
  info.hold = context_.holds.Find(*key_, *options_);
  const absl::Time steady = context_.clock.Steady();
  if (backoff_until_ > steady) info.backoff_until = backoff_until_wall_;
  info.waiting_for = WaitingFor(steady);
  return info;
}

}  // namespace postern::delivery

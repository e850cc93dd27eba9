#include "server/delivery/connection.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/ids.h"
#include "server/base/log.h"
#include "server/delivery/scheduler.h"
#include "server/delivery/session.h"
#include "server/net/endpoint.h"
#include "server/queue/retry.h"

namespace postern::delivery {
namespace {

using mail::ConnError;
using mail::RequeueReason;

// A walk does not go on for ever, however many addresses a domain has.
constexpr std::size_t kMaxTargets = 16;

ConnError FromNet(net::ConnectFailure failure) {
  switch (failure) {
    case net::ConnectFailure::kNone:
      return ConnError::kNone;
    case net::ConnectFailure::kSocket:
      return ConnError::kSocket;
    case net::ConnectFailure::kIoctl:
      return ConnError::kIoctl;
    case net::ConnectFailure::kBind:
      return ConnError::kBind;
    case net::ConnectFailure::kConnect:
      return ConnError::kConnect;
    case net::ConnectFailure::kUnreachable:
      return ConnError::kConnectNetwork;
    case net::ConnectFailure::kTimeout:
      return ConnError::kConnectTimeout;
  }
  return ConnError::kConnect;
}

std::shared_ptr<const mail::Reply> Words(int code, const char* enhanced, std::string text) {
  return std::make_shared<const mail::Reply>(
      mail::InternalReply(code, enhanced, std::move(text), mail::SmtpStage::kConnect));
}

struct NamedRecord : hooks::DomainRecord {
  explicit NamedRecord(std::string text) : hooks::DomainRecord{}, name(std::move(text)) {
    domain = name.c_str();
  }
  const std::string name;
};

// Shown as an attempt to open a connection for as long as it lives.
class ShownAttempt {
 public:
  ShownAttempt(Pair& pair, const mail::ConnectionInfo& info, const char* phase) : pair_(pair) {
    entry_.info = info;
    entry_.phase = phase;
    entry_.opened = pair.context().clock.Now();
    pair_.scheduler().AddAttempt(&entry_);
  }
  ~ShownAttempt() { pair_.scheduler().RemoveAttempt(&entry_); }
  ShownAttempt(const ShownAttempt&) = delete;
  ShownAttempt& operator=(const ShownAttempt&) = delete;

 private:
  Pair& pair_;
  ConnectionEntry entry_;
};

mail::ConnectionInfo NewConnection(Pair& pair) {
  mail::ConnectionInfo info;
  info.id = base::NewId(pair.context().clock.Now());
  info.pair = pair.key_ptr();
  info.binding_slot = pair.binding_slot();
  return info;
}

// Of the MX list: each may have several addresses, which stand side by side.
int CountHosts(const DialPlan& plan) {
  int hosts = 0;
  for (std::size_t i = 0; i < plan.targets.size(); ++i) {
    if (i == 0 || plan.targets[i].host != plan.targets[i - 1].host) ++hosts;
  }
  return hosts;
}

// A place at the host; null: why not is in `refusals`.
std::unique_ptr<HostTable::Permit> AskForHost(Pair& pair, const DialTarget& target,
                                              const mail::DeliveryOptions& options,
                                              const HostTable::Turn* turn, Refusals& refusals) {
  const std::string host = net::FormatEndpoint(target.endpoint);
  const absl::Time now = pair.context().clock.Steady();
  if (IsProhibited(target.endpoint.address(), options.skip_hosts)) {
    refusals.backed_off.push_back(host);
    refusals.retry_at =
        std::min(refusals.retry_at, now + queue::RetryDelay(options, 1, base::RandomUint64()));
    return nullptr;
  }
  if (const absl::Time avoided = pair.AvoidedUntil(host); avoided > now) {
    refusals.backed_off.push_back(host);
    refusals.retry_at = std::min(refusals.retry_at, avoided);
    return nullptr;
  }
  const auto source = SourceFor(target.endpoint.address(), options);
  const auto has_route = [&] { return net::HasRoute(target.endpoint, source); };
  const LocalFaults::Side side{pair.binding_slot(), target.endpoint.address().is_v6()};
  if (const auto ours = pair.context().local_faults.Find(side, has_route, now)) {
    refusals.Add(*ours);
    return nullptr;
  }
  // Health is that of an address as seen from ours: a blocked binding must not stop the others.
  const std::string from = source.has_value() ? source->to_string() : std::string();
  HostTable::Answer answer =
      pair.context().hosts.Acquire(from, host, HostLimits(options), now, turn);
  switch (answer.grant) {
    case HostTable::Grant::kGranted:
      break;
    case HostTable::Grant::kBackedOff:
      refusals.backed_off.push_back(host);
      refusals.awaited.push_back(host);
      refusals.retry_at = std::min(refusals.retry_at, answer.retry_at);
      break;
    case HostTable::Grant::kHostFull:
      refusals.full.push_back(host);
      break;
    case HostTable::Grant::kServerFull:
      refusals.server_full = true;
      break;
  }
  return std::move(answer.permit);
}

}  // namespace

std::shared_ptr<hooks::DomainRecord> MakeDomainRecord(const std::string& domain) {
  return std::make_shared<NamedRecord>(domain);
}

void Connection::Start(Pair& pair, std::unique_ptr<HostTable::Turn> turn) {
  asio::co_spawn(pair.scheduler().io(), Run(pair, std::move(turn)), asio::detached);
}

asio::awaitable<void> Connection::Run(Pair& pair, std::unique_ptr<HostTable::Turn> turn) {
  const ConnectionEnd end = co_await Attempt(pair, turn);
  turn.reset();
  if (end.reply != nullptr && !end.useful) {
    if (end.unreachable.empty() || end.connected) {
      pair.BackOff(end.reason, end.reply);
    } else {
      pair.BackOffUnreachable(end);
    }
  }
  pair.OnConnectionEnded(end);
}

void Connection::Raise(Pair& pair, const mail::ConnectionInfo& info, ConnError error, int conn_fd,
                       std::string detail) {
  pair.context_.metrics.Attempts(error).Add();
  hooks::ConnectionAttempt attempt;
  attempt.connection = &info;
  attempt.error = error;
  attempt.detail = std::move(detail);
  pair.FillRecord(attempt);
  hooks::DomainRecord& record = pair.domain_record();
  const mail::Row* head = pair.queue_.head();
  ec_message message{};
  std::string id;
  std::vector<const char*> recipients;
  if (head != nullptr) {
    id = head->message_id.ToString();
    for (const mail::Recipient& r : head->recipients) recipients.push_back(r.address.c_str());
    message.id = id.c_str();
    message.domain = info.pair->domain.c_str();
    message.binding_slot = info.binding_slot;
    message.num_retries = static_cast<int>(head->attempts);
    message._mailfrom = head->sender.c_str();
    message._rcptto = recipients.front();
    message._recipients = recipients.data();
    message._recipient_count = static_cast<int>(recipients.size());
  }
  record.attempt = &attempt;
  record.probable_message = head == nullptr ? nullptr : &message;
  pair.context_.hook_point.PostInitiateConnection(record, info.binding_slot, conn_fd);
  record.attempt = nullptr;
  record.probable_message = nullptr;
}

void Connection::RaiseFailure(Pair& pair, ConnError error, std::string detail) {
  const mail::ConnectionInfo info = NewConnection(pair);
  Raise(pair, info, error, static_cast<int>(error), std::move(detail));
}

void Connection::RaiseProhibited(Pair& pair, const DialTarget& target) {
  mail::ConnectionInfo info = NewConnection(pair);
  info.mx_host = target.host;
  info.remote_address = net::FormatEndpoint(target.endpoint);
  Raise(pair, info, ConnError::kProhibitedIp, static_cast<int>(ConnError::kProhibitedIp),
        "in prohibited_hosts");
}

// For what was found by `options`. An operator may have suspended the queue or have given it
// another way meanwhile: then its mail stays. With a turn of the loop after so many rows: other
// sessions go on beside a large queue.
asio::awaitable<void> Connection::FailActive(
    Pair& pair, const std::shared_ptr<const mail::DeliveryOptions>& options,
    const std::shared_ptr<const mail::Reply>& reply) {
  constexpr std::size_t kRowsInTurn = 500;
  const auto holds_good = [&] { return !pair.suspended() && DialAlike(*options, *pair.options()); };
  while (holds_good() && pair.FailActive(reply, kRowsInTurn)) {
    co_await asio::post(pair.scheduler().io(), asio::use_awaitable);
  }
}

// Everything that can end before there is a connection, and the walk over the addresses.
asio::awaitable<ConnectionEnd> Connection::Attempt(Pair& pair,
                                                   std::unique_ptr<HostTable::Turn>& turn) {
  ConnectionEnd end;
  const std::shared_ptr<const mail::DeliveryOptions> options = pair.options();
  dns::Resolver& resolver = pair.scheduler().resolver();
  if (NeedsLookup(pair.key().domain, *options, resolver)) {
    RaiseFailure(pair, ConnError::kMxLookupPending, "");
  }
  std::string domain = pair.key().domain;
  const absl::Time asked = pair.context_.clock.Steady();
  const mail::ConnectionInfo nowhere_yet = NewConnection(pair);
  auto shown = std::make_unique<ShownAttempt>(pair, nowhere_yet, "lookup");
  DialPlan plan = co_await PlanDial(std::move(domain), options, resolver);
  shown.reset();
  pair.context_.metrics.mx_lookup_seconds.Observe(pair.context_.clock.Steady() - asked);
  pair.domain_record().mxcnt = CountHosts(plan);
  std::shared_ptr<const mail::Reply> refusal;
  switch (plan.outcome) {
    case dns::MxOutcome::kOk:
      break;
    case dns::MxOutcome::kNullMx:
      RaiseFailure(pair, ConnError::kSmtpNullMx, "null MX");
      refusal = Words(556, "5.1.10", "the domain accepts no mail (null MX)");
      co_await FailActive(pair, options, refusal);
      co_return end;
    case dns::MxOutcome::kNoDomain:
      RaiseFailure(pair, ConnError::kMxLookupFailed, plan.error);
      refusal = Words(550, "5.1.2", absl::StrCat("no such domain: ", plan.error));
      co_await FailActive(pair, options, refusal);
      co_return end;
    case dns::MxOutcome::kNoAddress:
    case dns::MxOutcome::kTemporary:
      RaiseFailure(pair, ConnError::kMxLookupFailed, plan.error);
      end.reason = RequeueReason::kMxLookup;
      end.reply = Words(451, plan.outcome == dns::MxOutcome::kNoAddress ? "4.4.4" : "4.4.3",
                        absl::StrCat("DNS: ", plan.error));
      co_return end;
  }
  DialPlan to_walk = plan;
  co_return co_await Walk(pair, options, std::move(to_walk), turn);
}

// Host by host in the order of the plan, until one takes mail.
asio::awaitable<ConnectionEnd> Connection::Walk(
    Pair& pair, const std::shared_ptr<const mail::DeliveryOptions>& options, DialPlan plan,
    std::unique_ptr<HostTable::Turn>& turn) {
  ConnectionEnd end;
  Refusals refusals;
  std::vector<std::string> unreachable;
  std::size_t allowed = 0;
  std::size_t prohibited = 0;
  std::size_t dialled = 0;
  bool reached_out = false;  // dialled, and not kept from it by a fault of ours
  for (std::size_t i = 0; i < plan.targets.size(); ++i) {
    const DialTarget& target = plan.targets[i];
    if (IsProhibited(target.endpoint.address(), options->prohibited_hosts)) {
      if (++prohibited <= kMaxTargets) RaiseProhibited(pair, target);
      continue;
    }
    ++allowed;
    if (dialled == kMaxTargets || pair.context_.draining.load(std::memory_order_relaxed)) break;
    std::unique_ptr<HostTable::Permit> permit = std::move(end.permit);
    if (permit == nullptr) permit = AskForHost(pair, target, *options, turn.get(), refusals);
    if (refusals.server_full) break;
    if (permit == nullptr) continue;
    ++dialled;
    turn.reset();
    DialTarget copy = target;
    ConnectionEnd dial = co_await Dial(pair, std::move(copy), std::move(permit));
    if (dial.local_fault.has_value()) {
      refusals.Add(*dial.local_fault);
      continue;
    }
    reached_out = true;
    end = std::move(dial);
    if (end.try_plaintext) {
      plan.targets[i--].plaintext = true;  // the same host again
      continue;
    }
    if (!end.connected && end.reason == RequeueReason::kConnectFailed) {
      unreachable.push_back(end.host);
    }
    // A host that took no transaction leaves the mail to the next one.
    if (end.connected && (end.useful || end.reply == nullptr)) break;
  }
  end.unreachable = std::move(unreachable);
  if (allowed == 0 && !plan.missing.empty()) {
    // A host whose address is not known for now may be one that takes the mail.
    RaiseFailure(pair, ConnError::kMxLookupFailed, plan.missing);
    end.reason = RequeueReason::kMxLookup;
    end.reply = Words(451, "4.4.3", absl::StrCat("DNS: ", plan.missing));
  } else if (allowed == 0) {
    auto refusal = Words(550, "5.4.4", "every host of the domain is in prohibited_hosts");
    co_await FailActive(pair, options, refusal);
  } else if (!reached_out && refusals.any()) {
    turn.reset();
    NoHost(pair, refusals);
  }
  co_return end;
}

void Connection::NoHost(Pair& pair, const Refusals& refusals) {
  Parking parking;
  std::string detail;
  ConnError error = ConnError::kNone;
  if (refusals.server_full) {
    error = ConnError::kHostMaxReached;
    detail = "server_max_outbound_connections reached";
    parking.grant = HostTable::Grant::kServerFull;
    parking.until = absl::InfiniteFuture();
  } else if (!refusals.full.empty()) {
    error = ConnError::kHostMaxReached;
    parking.grant = HostTable::Grant::kHostFull;
    parking.until = refusals.retry_at;
    parking.hosts = refusals.full;
    detail =
        absl::StrCat("max_connections_per_host reached at ", absl::StrJoin(refusals.full, ", "));
  } else if (refusals.backed_off.empty()) {
    // Told when its period began, by whoever found it.
    parking.until = refusals.retry_at;
    parking.local_fault = refusals.local_fault;
  } else {
    error = ConnError::kNoMxsReachable;
    parking.grant = HostTable::Grant::kBackedOff;
    parking.until = refusals.retry_at;
    // Not those that only this queue leaves alone: what others do there changes nothing.
    parking.hosts = refusals.awaited;
    detail = absl::StrCat("in back-off, avoided or in skip_hosts: ",
                          absl::StrJoin(refusals.backed_off, ", "));
  }
  // Connections that find this side by side are one parking, and one event. The hook comes first:
  // the queue's head is what it was.
  if (pair.parked()) return;
  if (error != ConnError::kNone) RaiseFailure(pair, error, std::move(detail));
  pair.Park(std::move(parking));
}

ConnectionEnd Connection::NoteLocalFault(Pair& pair, const mail::ConnectionInfo& info,
                                         const net::ConnectResult& result, bool v6,
                                         std::shared_ptr<const mail::Reply> reply) {
  const LocalFaults::Side side{pair.binding_slot(), v6};
  ConnectionEnd end;
  end.reason = RequeueReason::kLocalFault;
  end.local_fault = pair.context_.local_faults.Note(result.fault, side, std::move(reply),
                                                    pair.options()->host_failure_retry,
                                                    pair.context_.clock.Steady());
  // A state that lasts is not a storm of events: those of one period are one.
  const ConnError error = FromNet(result.failure);
  if (end.local_fault->began) Raise(pair, info, error, static_cast<int>(error), result.detail);
  return end;
}

// One address.
asio::awaitable<ConnectionEnd> Connection::Dial(Pair& pair, DialTarget target,
                                                std::unique_ptr<HostTable::Permit> permit) {
  mail::ConnectionInfo info = NewConnection(pair);
  info.mx_host = target.host;
  info.remote_address = net::FormatEndpoint(target.endpoint);
  const std::string host = info.remote_address;
  const std::shared_ptr<const mail::DeliveryOptions> options = pair.options();
  const auto source = SourceFor(target.endpoint.address(), *options);
  const LocalFaults::Side side{pair.binding_slot(), target.endpoint.address().is_v6()};
  const absl::Time dialled = pair.context_.clock.Steady();
  const net::SocketCalls* calls = pair.context_.socket_calls;
  if (calls == nullptr) calls = &net::kSystemCalls;
  auto shown = std::make_unique<ShownAttempt>(pair, info, "connect");
  net::ConnectResult result =
      co_await net::Connect(target.endpoint, source, options->connect_timeout, *calls);
  shown.reset();
  pair.context_.metrics.Phase(mail::SmtpStage::kConnect)
      .Observe(pair.context_.clock.Steady() - dialled);
  if (result.stream == nullptr) {
    auto reply = Words(451, "4.4.1",
                       absl::StrCat(info.mx_host, " ", info.remote_address, ": ", result.detail));
    if (result.fault != net::LocalFault::kNone) {
      permit->Report(HostOutcome::kUnknown, pair.context_.clock.Steady());
      co_return NoteLocalFault(pair, info, result, side.v6, std::move(reply));
    }
    const ConnError error = FromNet(result.failure);
    permit->Report(HostOutcome::kNoRoute, pair.context_.clock.Steady());
    Raise(pair, info, error, static_cast<int>(error), result.detail);
    ConnectionEnd end;
    end.host = host;
    end.reply = std::move(reply);
    co_return end;
  }
  pair.context_.local_faults.NoteConnected(side);
  info.local_address = result.stream->local_address();
  Raise(pair, info, ConnError::kNone, result.stream->native_handle(), "");
  --pair.dialing_;
  pair.context_.metrics.dialing.Add(-1);
  // On the heap: the coroutine's frame would carry it through all of the dialling otherwise.
  const auto session = std::make_unique<Session>(pair, std::move(result.stream), std::move(info),
                                                 std::move(permit), target.plaintext);
  ConnectionEnd end = co_await session->Run();
  end.host = host;
  if (end.try_plaintext) end.permit = session->TakePermit();
  ++pair.dialing_;  // until another host is reached, or the pair is told
  pair.context_.metrics.dialing.Add(1);
  co_return end;
}

}  // namespace postern::delivery

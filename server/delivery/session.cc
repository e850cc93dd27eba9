#include "server/delivery/session.h"

#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/delivery/routing.h"
#include "server/delivery/scheduler.h"

namespace postern::delivery {
namespace {

using mail::CloseCause;
using Want = smtp::ClientDialogue::Want;

constexpr auto kAwait = asio::experimental::as_tuple(asio::use_awaitable);

}  // namespace

Session::Session(Pair& pair, std::unique_ptr<net::Stream> stream, mail::ConnectionInfo info,
                 std::unique_ptr<HostTable::Permit> permit)
    : pair_(pair),
      context_(pair.context()),
      options_(pair.options()),
      stream_(std::move(stream)),
      info_(std::move(info)),
      permit_(std::move(permit)),
      dialogue_(options_->ehlo_hostname),
      watchdog_(pair.scheduler().io().get_executor(), [this] { stream_->Close(); }),
      phases_(context_.metrics),
      idle_timer_(pair.scheduler().io()),
      checked_generation_(options_->generation),
      opened_(context_.clock.Now()),
      opened_steady_(context_.clock.Steady()) {
  pair_.scheduler().AddSession(info_.id, this);
  context_.metrics.open_sessions.Add(1);
  context_.metrics.sessions_opened.Add();
}

Session::~Session() {
  pair_.scheduler().RemoveSession(info_.id);
  context_.metrics.open_sessions.Add(-1);
}

asio::awaitable<ConnectionEnd> Session::Run() {
  const bool ready = co_await Handshake();
  if (ready) {
    permit_->Report(HostOutcome::kReached, context_.clock.Steady());
    co_await Transactions();
  } else if (*cause_ != CloseCause::kDrain) {
    permit_->Report(HostOutcome::kRefused, context_.clock.Steady());
  }
  co_await Quit();
  Close();
  ConnectionEnd end;
  end.connected = true;
  end.useful = attempts_ > 0;
  end.hold = hold_;
  end.avoid_host = avoid_host_;
  end.limit_changed = *cause_ == CloseCause::kLimitChanged;
  end.replace_throttled = *cause_ == CloseCause::kHook || *cause_ == CloseCause::kRemotePolicy ||
                          *cause_ == CloseCause::kReply421 || *cause_ == CloseCause::kIoError;
  end.reason = *cause_ == CloseCause::kReply421 ? mail::RequeueReason::kReply421
                                                : mail::RequeueReason::kConnectFailed;
  if (!ready && *cause_ != CloseCause::kDrain) {
    end.reply = dialogue_.closing_reply() != nullptr
                    ? dialogue_.closing_reply()
                    : std::make_shared<const mail::Reply>(mail::InternalReply(
                          451, "4.4.2", absl::StrCat(info_.mx_host, ": ", detail_),
                          mail::SmtpStage::kGreeting));
  }
  co_return end;
}

asio::awaitable<bool> Session::Handshake() {
  co_await Pump();
  if (dialogue_.want() == Want::kReady) {
    if (hooks::SessionObserver* observer = context_.hook_point.observer()) {
      hooks::SessionReady ready;
      ready.capabilities = dialogue_.capabilities().lines;
      observer->OnSessionReady(info_, ready);
    }
    co_return true;
  }
  const smtp::ReplyPtr& reply = dialogue_.closing_reply();
  if (reply == nullptr) {
    NoteLost();
  } else if (reply->code == 421) {
    SetCause(CloseCause::kReply421, reply->ToString());
  } else {
    SetCause(reply->stage == mail::SmtpStage::kGreeting ? CloseCause::kGreetingRefused
                                                        : CloseCause::kEhloRefused,
             reply->ToString());
  }
  co_return false;
}

asio::awaitable<void> Session::Transactions() {
  while (!EndRequested()) {
    queue::RowPtr row = pair_.TakeNext();
    const bool go_on = row == nullptr ? co_await Idle() : co_await Deliver(std::move(row));
    if (!go_on) break;
  }
}

bool Session::EndRequested() {
  if (cause_.has_value()) return true;
  if (context_.draining.load(std::memory_order_relaxed)) {
    SetCause(CloseCause::kDrain, "");
  } else if (requested_.has_value()) {
    SetCause(requested_->cause, requested_->reason, requested_->provider);
    hold_ = requested_->hold;
    avoid_host_ = requested_->avoid_host;
  } else if (ShouldYield()) {
    SetCause(CloseCause::kYielded, "others wait for a place at the host");
  } else if (std::string why = ForbiddenNow(); !why.empty()) {
    SetCause(CloseCause::kLimitChanged, std::move(why));
  }
  return cause_.has_value();
}

bool Session::ShouldYield() const {
  constexpr std::uint64_t kFairTransactions = 20;
  constexpr absl::Duration kFairTime = absl::Seconds(5);
  return permit_->contended() &&
         (attempts_ >= kFairTransactions || context_.clock.Steady() - opened_steady_ >= kFairTime);
}

std::string Session::ForbiddenNow() {
  const mail::DeliveryOptions& now = *pair_.options();
  if (now.generation == options_->generation) return "";
  const int limit = now.max_deliveries_per_connection;
  if (limit > 0 && deliveries_ >= static_cast<std::uint64_t>(limit)) {
    return absl::StrCat("max_deliveries_per_connection is ", limit, " now");
  }
  if (now.generation == checked_generation_) return "";
  checked_generation_ = now.generation;
  if (IsProhibitedEndpoint(info_.remote_address, now.prohibited_hosts)) {
    return absl::StrCat(info_.remote_address, " is in prohibited_hosts now");
  }
  if (!pair_.TakeSurplus()) return "";
  return absl::StrCat("max_outbound_connections is ", now.max_outbound_connections, " now");
}

asio::awaitable<bool> Session::Idle() {
  if (options_->idle_timeout <= absl::ZeroDuration()) {
    SetCause(CloseCause::kQueueEmpty, "");
    co_return false;
  }
  phase_ = "idle";
  idle_ = true;
  watchdog_.Clear();
  pair_.AddIdle(this);
  idle_timer_.expires_after(absl::ToChronoNanoseconds(options_->idle_timeout));
  Scheduler& scheduler = pair_.scheduler();
  const auto yield = std::make_shared<HostWaiter>(
      [&scheduler, id = info_.id] { scheduler.Post([&scheduler, id] { scheduler.Wake(id); }); });
  permit_->OfferToYield(yield);
  auto readable = std::make_shared<bool>(false);
  stream_->NotifyReadable([this, readable] {
    *readable = true;
    idle_timer_.cancel();
  });
  const auto [error] = co_await idle_timer_.async_wait(kAwait);
  stream_->CancelNotify();
  pair_.RemoveIdle(this);
  idle_ = false;
  if (*readable) {
    // A peer has nothing to say while nothing was asked, but 421 or the end of the stream.
    const net::IoResult result = co_await stream_->ReadSome(buffer_, sizeof buffer_);
    if (!result.ok()) {
      lost_ = result.error.message();
      dialogue_.ConnectionLost();
    } else {
      dialogue_.Feed(absl::string_view(buffer_, result.bytes));
    }
    if (dialogue_.want() == Want::kOver) {
      NoteLost();
      co_return false;
    }
    co_return true;
  }
  if (!EndRequested()) {
    if (yield->woken()) {
      SetCause(CloseCause::kYielded, "others wait for a place at the host");
    } else if (!error) {
      SetCause(CloseCause::kIdle, "");
    }
  }
  co_return !cause_.has_value();
}

asio::awaitable<void> Session::Pump() {
  for (;;) {
    const Want want = dialogue_.want();
    if (want == Want::kSendContent) {
      phases_.Pause(context_.clock.Steady());  // several calls, one phase
      co_return;
    }
    if (want != Want::kWrite && want != Want::kRead) {
      phases_.Close(context_.clock.Steady());
      co_return;
    }
    phase_ = Name(dialogue_.stage()).data();
    phases_.Run(dialogue_.stage(), context_.clock.Steady());
    net::IoResult result;
    if (want == Want::kWrite) {
      watchdog_.ExpireAfter(options_->block_timeout);
      const absl::string_view nothing;
      result = co_await stream_->WriteAll(dialogue_.output(), nothing);
      dialogue_.Written(result.bytes);
    } else {
      watchdog_.ExpireAfter(TimeoutFor(dialogue_.stage()));
      result = co_await stream_->ReadSome(buffer_, sizeof buffer_);
      if (result.ok()) dialogue_.Feed(absl::string_view(buffer_, result.bytes));
    }
    if (!result.ok()) {
      timed_out_ = watchdog_.expired();
      lost_ = timed_out_ ? absl::StrCat("timed out at ", Name(dialogue_.stage()))
              : result.error == asio::error::eof ? "connection closed by the peer"
                                                 : result.error.message();
      dialogue_.ConnectionLost();
    }
  }
}

absl::Duration Session::TimeoutFor(mail::SmtpStage stage) const {
  switch (stage) {
    case mail::SmtpStage::kEhlo:
    case mail::SmtpStage::kHelo:
      return options_->ehlo_timeout;
    case mail::SmtpStage::kMail:
      return options_->mailfrom_timeout;
    case mail::SmtpStage::kRcpt:
      return options_->rcptto_timeout;
    case mail::SmtpStage::kData:
      return options_->data_timeout;
    case mail::SmtpStage::kBody:
      return options_->body_timeout;
    case mail::SmtpStage::kRset:
      return options_->rset_timeout;
    case mail::SmtpStage::kQuit:
      return options_->quit_timeout;
    default:
      return options_->banner_timeout;
  }
}

void Session::NoteLost() {
  if (const smtp::ReplyPtr& reply = dialogue_.closing_reply()) {
    SetCause(reply->code == 421 ? CloseCause::kReply421 : CloseCause::kProtocolError,
             reply->ToString());
  } else if (!dialogue_.protocol_error().ok()) {
    SetCause(CloseCause::kProtocolError, std::string(dialogue_.protocol_error().message()));
  } else if (timed_out_) {
    SetCause(CloseCause::kTimeout, lost_);
  } else {
    SetCause(CloseCause::kIoError, lost_);
  }
}

void Session::SetCause(CloseCause cause, std::string detail, std::string provider) {
  if (cause_.has_value()) return;  // the first one is the cause
  cause_ = cause;
  detail_ = std::move(detail);
  provider_ = std::move(provider);
}

asio::awaitable<void> Session::WaitWritten(spool::Ticket ticket) {
  if (context_.spool.IsWritten(ticket)) co_return;
  auto timer = std::make_shared<asio::steady_timer>(pair_.scheduler().io(),
                                                    asio::steady_timer::time_point::max());
  asio::io_context& io = pair_.scheduler().io();
  context_.spool.WhenWritten(ticket,
                             [timer, &io] { asio::post(io, [timer] { timer->cancel(); }); });
  co_await timer->async_wait(kAwait);
}

asio::awaitable<void> Session::SendContent(std::string content) {
  constexpr std::size_t kChunk = smtp::ClientDialogue::kContentChunkBytes;
  absl::string_view rest = content;
  while (dialogue_.want() == Want::kSendContent) {
    const absl::string_view chunk = rest.substr(0, kChunk);
    rest.remove_prefix(chunk.size());
    dialogue_.AppendContent(chunk);
    if (rest.empty()) dialogue_.FinishContent();
    co_await Pump();
  }
  bytes_ += content.size() - rest.size();
}

asio::awaitable<void> Session::Exchange(queue::QueuedRow& row, const smtp::Transaction& transaction,
                                        std::string content) {
  context_.metrics.in_transaction.Add(1);
  const spool::Ticket mark = context_.spool.MarkAttempt(row.row);
  dialogue_.Begin(transaction);
  co_await Pump();
  if (dialogue_.want() == Want::kSendContent) {
    phase_ = "spool";
    co_await WaitWritten(mark);
    co_await SendContent(std::move(content));
  }
  context_.metrics.in_transaction.Add(-1);
}

asio::awaitable<void> Session::Quit() {
  if (dialogue_.want() == Want::kReady || dialogue_.want() == Want::kTransactionDone) {
    dialogue_.Quit();
  } else if (*cause_ == CloseCause::kGreetingRefused || *cause_ == CloseCause::kEhloRefused) {
    dialogue_.Quit();
  }
  co_await Pump();
}

void Session::Close() {
  phase_ = "closed";
  stream_->Close();
  context_.metrics.Closed(*cause_).Add();
  context_.metrics.session_deliveries.Observe(static_cast<double>(deliveries_));
  base::Log().debug("connection {} to {} closed: {} {} {} ({} deliveries)", info_.id.ToString(),
                    info_.remote_address, Name(*cause_), provider_, detail_, deliveries_);
  if (hooks::SessionObserver* observer = context_.hook_point.observer()) {
    hooks::ConnectionClosed closed;
    closed.cause = *cause_;
    closed.provider = provider_;
    closed.detail = detail_;
    closed.deliveries = deliveries_;
    closed.attempts = attempts_;
    closed.bytes = bytes_;
    closed.lifetime = context_.clock.Steady() - opened_steady_;
    observer->OnConnectionClosed(info_, closed);
  }
}

void Session::Wake() {
  if (idle_) idle_timer_.cancel();
}

void Session::RequestShutdown(const hooks::ShutdownVerdict& verdict) {
  if (!requested_.has_value()) requested_ = verdict;
  Wake();
}

void Session::Cut(CloseCause cause) {
  SetCause(cause, "cut at the end of the budget");
  context_.metrics.sessions_cut.Add();
  stream_->Close();
  Wake();
}

ConnectionEntry Session::entry() const {
  ConnectionEntry entry;
  entry.info = info_;
  entry.phase = phase_;
  entry.deliveries = deliveries_;
  entry.attempts = attempts_;
  entry.bytes = bytes_;
  entry.opened = opened_;
  return entry;
}

}  // namespace postern::delivery

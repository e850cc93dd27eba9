#include "server/delivery/session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/delivery/routing.h"
#include "server/delivery/scheduler.h"
#include "server/net/await.h"
#include "server/net/tls_stream.h"

namespace postern::delivery {
namespace {

using mail::CloseCause;
using Want = smtp::ClientDialogue::Want;

constexpr const char* kYieldedWhy = "others wait for a place";

smtp::HandshakePlan PlanHandshake(const mail::DeliveryOptions& options, bool plaintext) {
  using StartTls = smtp::HandshakePlan::StartTls;
  smtp::HandshakePlan plan;
  if (options.tls == mail::TlsPolicy::kRequired) {
    plan.starttls = StartTls::kRequired;
  } else if (options.tls == mail::TlsPolicy::kIfAvailable && !plaintext) {
    plan.starttls = StartTls::kIfOffered;
  }
  plan.credentials = options.credentials.get();
  return plan;
}

}  // namespace

Session::Session(Pair& pair, std::unique_ptr<net::Stream> stream, mail::ConnectionInfo info,
                 std::unique_ptr<HostTable::Permit> permit, bool plaintext)
    : pair_(pair),
      context_(pair.context()),
      options_(pair.options()),
      stream_(std::move(stream)),
      info_(std::move(info)),
      permit_(std::move(permit)),
      dialogue_(options_->ehlo_hostname, PlanHandshake(*options_, plaintext)),
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
  ConnectionEnd end;
  if (ready) {
    permit_->Report(HostOutcome::kReached, context_.clock.Steady());
    co_await Transactions();
  } else if (!EndedByUs()) {
    end = HandshakeFailure();
    // A host that is to be dialled again in plaintext has answered.
    const HostOutcome outcome = local_fault_        ? HostOutcome::kUnknown
                                : end.try_plaintext ? HostOutcome::kReached
                                                    : HostOutcome::kRefused;
    permit_->Report(outcome, context_.clock.Steady());
  }
  // Before QUIT, which may take its time.
  if (hold_ > absl::ZeroDuration()) pair_.Hold(hold_, provider_, detail_);
  co_await Quit();
  Close();
  if (*cause_ == CloseCause::kReply421) end.reason = mail::RequeueReason::kReply421;
  end.connected = true;
  end.useful = attempts_ > 0;
  end.avoid_host = avoid_host_;
  end.limit_changed = *cause_ == CloseCause::kLimitChanged;
  end.replace_throttled = *cause_ == CloseCause::kHook || *cause_ == CloseCause::kRemotePolicy ||
                          *cause_ == CloseCause::kAdmin || *cause_ == CloseCause::kReply421 ||
                          *cause_ == CloseCause::kIoError;
  co_return end;
}

bool Session::EndedByUs() const {
  switch (*cause_) {
    case CloseCause::kDrain:
    case CloseCause::kHook:
    case CloseCause::kRemotePolicy:
    case CloseCause::kAdmin:
    case CloseCause::kSuspended:
    case CloseCause::kLimitChanged:
      return true;
    default:
      return false;
  }
}

asio::awaitable<void> Session::Transactions() {
  ready_ = true;
  ready_steady_ = context_.clock.Steady();
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
  } else if (pair_.suspended()) {
    // Another thread may have lifted it since.
    const mail::Hold* hold = pair_.hold();
    if (hold != nullptr) SetCause(CloseCause::kSuspended, hold->reason, hold->who);
  } else if (ShouldYield()) {
    SetCause(CloseCause::kYielded, kYieldedWhy);
  } else if (std::string why = ForbiddenNow(); !why.empty()) {
    SetCause(CloseCause::kLimitChanged, std::move(why));
  }
  return cause_.has_value();
}

bool Session::ShouldYield() {
  constexpr std::uint64_t kFairTransactions = 20;
  constexpr absl::Duration kFairTime = absl::Seconds(5);
  return ready_ &&
         (attempts_ >= kFairTransactions || context_.clock.Steady() - ready_steady_ >= kFairTime) &&
         permit_->TakeYield();
}

std::string Session::ForbiddenNow() {
  if (pair_.options()->generation == options_->generation) return "";
  const std::shared_ptr<const mail::DeliveryOptions> options = pair_.options();
  const mail::DeliveryOptions& now = *options;
  const int limit = now.max_deliveries_per_connection;
  if (limit > 0 && deliveries_ >= static_cast<std::uint64_t>(limit)) {
    return absl::StrCat("max_deliveries_per_connection is ", limit, " now");
  }
  const int most = now.max_recipients_per_connection;
  if (most > 0 && recipients_ >= most) {
    return absl::StrCat("max_recipients_per_connection is ", most, " now");
  }
  if (now.generation == checked_generation_) return "";
  checked_generation_ = now.generation;
  if (!SpeakAlike(*options_, now)) {
    return "tls, gateway, bind_address or ehlo_hostname is another now";
  }
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
  const auto [error] = co_await idle_timer_.async_wait(net::kAsTuple);
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
      // After a delivery a 421 is ordinary recycling; before one it is the host's word to all.
      if (*cause_ == CloseCause::kReply421 && deliveries_ == 0) {
        pair_.BackOff(mail::RequeueReason::kReply421, dialogue_.closing_reply());
      }
      co_return false;
    }
    co_return true;
  }
  if (!EndRequested()) {
    if (yield->woken()) {
      SetCause(CloseCause::kYielded, kYieldedWhy);
    } else if (!error) {
      SetCause(CloseCause::kIdle, "");
    }
  }
  co_return !cause_.has_value();
}

void Session::Limit(absl::Duration timeout, bool content_sent) {
  if (!content_sent && expires_steady_ != absl::InfiniteFuture()) {
    timeout = std::min(timeout, expires_steady_ - context_.clock.Steady());
  }
  watchdog_.ExpireAfter(timeout);
}

asio::awaitable<void> Session::Pump() {
  // A deadline is that of a whole reply: a peer that says it octet by octet gains nothing.
  std::optional<std::uint64_t> awaited;
  for (;;) {
    const Want want = dialogue_.want();
    if (want == Want::kSendContent) {
      phases_.Pause(context_.clock.Steady());  // several calls, one phase
      watchdog_.Clear();                       // it is for us to go on
      co_return;
    }
    if (want != Want::kWrite && want != Want::kRead) {
      phases_.Close(context_.clock.Steady());
      watchdog_.Clear();
      co_return;
    }
    const mail::SmtpStage stage = dialogue_.stage();
    phase_ = Name(stage).data();
    phases_.Run(stage, context_.clock.Steady());
    net::IoResult result;
    if (want == Want::kWrite) {
      awaited.reset();
      Limit(options_->block_timeout, false);
      const absl::string_view nothing;
      result = co_await stream_->WriteAll(dialogue_.output(), nothing);
      dialogue_.Written(result.bytes);
      if (!result.ok()) co_await ReadLastWords();
    } else {
      if (awaited != dialogue_.replies()) {
        awaited = dialogue_.replies();
        Limit(TimeoutFor(stage), stage == mail::SmtpStage::kBody);
      }
      result = co_await stream_->ReadSome(buffer_, sizeof buffer_);
      if (result.ok()) dialogue_.Feed(absl::string_view(buffer_, result.bytes));
    }
    if (!result.ok()) {
      tls_fault_ = result.error.category() == net::TlsCategory();
      timed_out_ = watchdog_.expired();
      message_expired_ = timed_out_ && context_.clock.Steady() >= expires_steady_;
      lost_ = message_expired_ ? absl::StrCat("the message's time was over at ", Name(stage))
              : timed_out_     ? absl::StrCat("timed out at ", Name(stage))
              : cut_           ? "cut by us"
              : result.error == asio::error::eof ? "connection closed by the peer"
                                                 : result.error.message();
      lost_at_ = stage;
      dialogue_.ConnectionLost();
    }
  }
}

absl::Duration Session::TimeoutFor(mail::SmtpStage stage) const {
  switch (stage) {
    case mail::SmtpStage::kStartTls:
      return options_->starttls_timeout;
    case mail::SmtpStage::kEhlo:
    case mail::SmtpStage::kHelo:
    case mail::SmtpStage::kAuth:
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

asio::awaitable<void> Session::ReadLastWords() {
  if (watchdog_.expired()) co_return;
  Limit(options_->quit_timeout, true);
  while (dialogue_.want() != Want::kTransactionDone && dialogue_.want() != Want::kOver) {
    const net::IoResult result = co_await stream_->ReadSome(buffer_, sizeof buffer_);
    if (!result.ok()) co_return;
    dialogue_.Feed(absl::string_view(buffer_, result.bytes));
  }
}

asio::awaitable<void> Session::Quit() {
  if (dialogue_.want() == Want::kReady || dialogue_.want() == Want::kTransactionDone) {
    dialogue_.Quit();
  } else if (dialogue_.closing_reply() != nullptr) {
    dialogue_.Quit();  // if it makes sense
  }
  co_await Pump();
}

void Session::Close() {
  phase_ = "closed";
  // Rows that it had were not there to be filed anew.
  if (!SpeakAlike(*options_, *pair_.options())) context_.strays.store(true);
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
  // It is to end, whatever the clients say; their answer to the open question says nothing more.
  const bool by_operator = requested_.has_value() && requested_->cause == CloseCause::kAdmin;
  if (cause_.has_value() || by_operator || context_.draining.load(std::memory_order_relaxed)) {
    verdict_wait_.End();
  }
  // No transaction is open before the first one: nothing is to be waited for.
  if (!ready_ && EndRequested()) stream_->Close();
}

void Session::RequestShutdown(const hooks::ShutdownVerdict& verdict) {
  // An operator's word holds, whatever becomes of a client's.
  if (!requested_.has_value() || verdict.cause == CloseCause::kAdmin) requested_ = verdict;
  Wake();
}

void Session::Cut(CloseCause cause, std::string detail, std::string provider) {
  SetCause(cause, std::move(detail), std::move(provider));
  cut_ = true;
  stream_->Close();
  if (const auto wait = content_wait_.lock()) wait->cancel();
  Wake();
}

ConnectionEntry Session::entry() const {
  ConnectionEntry entry;
  entry.info = info_;
  entry.phase = phase_;
  entry.deliveries = deliveries_;
  entry.attempts = attempts_;
  entry.recipients = static_cast<std::uint64_t>(recipients_);
  entry.bytes = bytes_;
  entry.message_id = in_transaction_;
  entry.opened = opened_;
  return entry;
}

}  // namespace postern::delivery

// Session from the greeting to the first transaction: EHLO, STARTTLS, and what a failure means.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/delivery/scheduler.h"
#include "server/delivery/session.h"
#include "server/net/tls_stream.h"

namespace postern::delivery {
namespace {

using mail::CloseCause;
using mail::SmtpStage;
using Want = smtp::ClientDialogue::Want;

net::TlsSettings TlsSettingsOf(const mail::DeliveryOptions& options) {
  net::TlsSettings settings;
  switch (options.tls_verify) {
    case mail::TlsVerify::kNo:
      settings.verify = net::TlsSettings::Verify::kNo;
      break;
    case mail::TlsVerify::kCa:
      settings.verify = net::TlsSettings::Verify::kCa;
      break;
    case mail::TlsVerify::kHost:
      settings.verify = net::TlsSettings::Verify::kHost;
      break;
  }
  settings.only_13 = options.tls_only_13;
  settings.certificate_file = options.tls_certificate_file;
  settings.key_file = options.tls_key_file;
  return settings;
}

}  // namespace

asio::awaitable<bool> Session::Handshake() {
  hooks::SessionReady ready;
  co_await Pump();
  if (dialogue_.want() == Want::kTls) {
    const bool secured = co_await StartTls(ready);
    if (!secured) co_return false;
    co_await Pump();
  }
  if (dialogue_.want() == Want::kReady) {
    if (hooks::SessionObserver* observer = context_.hook_point.observer()) {
      ready.capabilities = dialogue_.capabilities().lines;
      observer->OnSessionReady(info_, ready);
    }
    co_return true;
  }
  if (const smtp::ReplyPtr& reply = dialogue_.closing_reply()) {
    SetCause(CauseOf(*reply), reply->ToString());
  } else if (tls_fault_ || (ready.tls && !timed_out_ && dialogue_.protocol_error().ok())) {
    // With TLS 1.3 a peer says only after the handshake that it does not take our certificate, and
    // its close may overtake its words.
    FailTls(lost_);
  } else {
    NoteLost();
  }
  co_return false;
}

CloseCause Session::CauseOf(const mail::Reply& closing) const {
  if (closing.code == 421) return CloseCause::kReply421;
  switch (closing.stage) {
    case SmtpStage::kGreeting:
      return CloseCause::kGreetingRefused;
    case SmtpStage::kStartTls:
      return CloseCause::kTlsFailed;
    case SmtpStage::kAuth:
      return CloseCause::kAuthFailed;
    default:
      return CloseCause::kEhloRefused;
  }
}

asio::awaitable<bool> Session::StartTls(hooks::SessionReady& ready) {
  phase_ = "starttls";
  absl::StatusOr<std::shared_ptr<net::TlsContext>> context =
      pair_.scheduler().tls_contexts().Get(TlsSettingsOf(*options_), options_->generation);
  if (!context.ok()) {
    base::Log().error("TLS to {}: {}", info_.mx_host, context.status().message());
    local_fault_ = true;
    FailTls(std::string(context.status().message()));
    dialogue_.ConnectionLost();
    co_return false;
  }
  auto tls =
      std::make_unique<net::TlsStream>(std::move(stream_), *std::move(context), info_.mx_host);
  net::TlsStream& handshaking = *tls;
  stream_ = std::move(tls);
  watchdog_.ExpireAfter(options_->starttls_timeout);
  phases_.Run(SmtpStage::kStartTls, context_.clock.Steady());
  net::TlsHandshake done = co_await handshaking.Handshake();
  if (!done.error.empty()) {
    timed_out_ = watchdog_.expired();
    if (timed_out_) done.error = "timed out in the TLS handshake";
    FailTls(std::move(done.error));
    dialogue_.ConnectionLost();
    co_return false;
  }
  ready.tls = true;
  ready.tls_version = std::move(done.version);
  ready.tls_cipher = std::move(done.cipher);
  ready.tls_verified = done.verified;
  base::Log().debug("connection {} to {}: {} {}{}{}", info_.id.ToString(), info_.remote_address,
                    ready.tls_version, ready.tls_cipher, done.verified ? ", verified" : "",
                    done.resumed ? ", resumed" : "");
  dialogue_.TlsEstablished(done.verified);
  co_return true;
}

void Session::FailTls(std::string why) {
  tls_fault_ = true;
  SetCause(CloseCause::kTlsFailed, std::move(why));
}

mail::RequeueReason Session::HandshakeReason() const {
  switch (*cause_) {
    case CloseCause::kTlsFailed:
      return local_fault_ ? mail::RequeueReason::kLocalFault : mail::RequeueReason::kTlsFailed;
    case CloseCause::kReply421:
      return mail::RequeueReason::kReply421;
    case CloseCause::kTimeout:
    case CloseCause::kIoError:
      return mail::RequeueReason::kConnectionLost;
    case CloseCause::kProtocolError:
      return mail::RequeueReason::kProtocolError;
    default:
      return mail::RequeueReason::kGreetingRefused;
  }
}

// What a session that never took a message means for its pair.
ConnectionEnd Session::HandshakeFailure() const {
  ConnectionEnd end;
  const bool tls = *cause_ == CloseCause::kTlsFailed;
  end.reason = HandshakeReason();
  end.try_plaintext = tls && tls_fault_ && !local_fault_ && options_->tls_fallback &&
                      options_->tls == mail::TlsPolicy::kIfAvailable &&
                      options_->credentials == nullptr &&
                      !context_.draining.load(std::memory_order_relaxed);
  end.reply = dialogue_.closing_reply();
  if (end.reply == nullptr) {
    end.reply = std::make_shared<const mail::Reply>(mail::InternalReply(
        451, tls ? "4.7.5" : "4.4.2", absl::StrCat(info_.mx_host, ": ", detail_),
        tls ? SmtpStage::kStartTls : lost_at_));
  }
  return end;
}

}  // namespace postern::delivery

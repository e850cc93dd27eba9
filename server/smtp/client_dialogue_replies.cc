// The half of ClientDialogue that takes replies; those up to the first transaction are in
// client_dialogue_handshake.cc.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/smtp/client_dialogue.h"

namespace postern::smtp {

using mail::SmtpStage;

void ClientDialogue::Feed(absl::string_view bytes) {
  while (!bytes.empty() && state_ != State::kOver) {
    // Whatever stands behind the reply to STARTTLS was put there by somebody in between: taken up
    // after the handshake it would pass for the peer's (CVE-2011-0411 and its kind).
    if (state_ == State::kTls) {
      return ProtocolError(absl::InvalidArgumentError("input behind the reply to STARTTLS"));
    }
    const absl::StatusOr<bool> complete = parser_.Parse(&bytes);
    if (!complete.ok()) {
      ProtocolError(complete.status());
    } else if (*complete) {
      OnReply();
    }
  }
}

void ClientDialogue::OnReply() {
  ++replies_;
  // These states have one command each: a reply that comes before it is written answers nothing.
  const bool one_command = (InHandshake() && state_ != State::kGreeting) ||
                           state_ == State::kLoneDot || state_ == State::kQuit;
  if (one_command && !output_.empty()) return OnUnsolicited();
  switch (state_) {
    case State::kGreeting:
    case State::kEhlo:
    case State::kHelo:
      return OnHandshakeReply();
    case State::kStartTls:
      return OnStartTlsReply();
    case State::kAuth:
      return OnAuthReply();
    case State::kCommands:
      // A reply to a command that was not sent.
      return answered_step_ == sent_step_ ? OnUnsolicited() : OnCommandReply();
    case State::kContent:
    case State::kBody:
      return OnBodyReply();
    case State::kLoneDot:
      // What the peer thinks of a message without recipients does not matter, unless it leaves.
      if (parser_.reply().code == 421) return ClosedBy(parser_.reply());
      return EndTransaction(RefusedStage());
    case State::kReady:
      return OnUnsolicited();
    case State::kQuit:
      return EndSession();
    case State::kTls:  // Feed() lets none come here
    case State::kOver:
      return;
  }
}

SmtpStage ClientDialogue::RefusedStage() const {
  return result_.mail->positive() ? SmtpStage::kRcpt : SmtpStage::kMail;
}

void ClientDialogue::OnCommandReply() {
  const mail::Reply& reply = parser_.reply();
  const std::size_t step = answered_step_;
  if (step == DataStep()) return OnDataReply();
  if (reply.intermediate()) {
    return ProtocolError(absl::InvalidArgumentError("3yz reply to RSET, MAIL or RCPT"));
  }
  if (step == kRsetStep) {
    // Nothing is known of the peer's state now: the transaction is for another session.
    if (!reply.positive()) return ClosedBy(reply);
    needs_rset_ = false;
  } else if (step == kMailStep) {
    result_.mail = Share(SmtpStage::kMail, &last_mail_);
    needs_rset_ = reply.positive();
  } else if (result_.mail->positive()) {
    result_.recipients[step - kFirstRcptStep] = Share(SmtpStage::kRcpt, &last_rcpt_);
    if (reply.positive()) ++accepted_;
  }
  if (reply.code == 421) return ClosedBy(reply);
  ++answered_step_;
  PumpCommands();
  if (answered_step_ == sent_step_) {
    EndTransaction(RefusedStage());
  }
}

void ClientDialogue::OnDataReply() {
  const mail::Reply& reply = parser_.reply();
  if (reply.positive()) {
    return ProtocolError(absl::InvalidArgumentError("2yz reply to DATA"));
  }
  if (reply.intermediate()) {
    if (accepted_ != 0) {
      result_.data = Share(SmtpStage::kData, &last_data_);
      state_ = State::kContent;
    } else {  // RFC 2920 §3.1
      absl::StrAppend(&output_, ".\r\n");
      state_ = State::kLoneDot;
    }
    return;
  }
  if (accepted_ != 0 || reply.code == 421) result_.data = Share(SmtpStage::kData, &last_data_);
  if (reply.code == 421) return ClosedBy(reply);
  if (accepted_ != 0) return EndTransaction(SmtpStage::kData);
  EndTransaction(RefusedStage());
}

void ClientDialogue::OnBodyReply() {
  const mail::Reply& reply = parser_.reply();
  // A refusal may come before all is sent, from a peer that is about to close. A "yes" may not, and
  // after it nobody could tell whether it was meant for this message.
  const bool early = state_ == State::kContent || !output_.empty();
  if (reply.intermediate() || (early && reply.positive())) {
    return ProtocolError(absl::InvalidArgumentError("unexpected reply to message content"));
  }
  result_.body = std::make_shared<const mail::Reply>(mail::Kept(reply, SmtpStage::kBody));
  if (early || reply.code == 421) return ClosedBy(reply);
  needs_rset_ = false;  // RFC 5321 §4.1.1.4: whatever it said, the buffers are cleared
  EndTransaction(SmtpStage::kBody);
}

void ClientDialogue::OnUnsolicited() {
  if (parser_.reply().code == 421) return ClosedBy(parser_.reply());
  ProtocolError(absl::InvalidArgumentError("reply without a command"));
}

void ClientDialogue::ClosedBy(const mail::Reply& reply) {
  closing_reply_ = std::make_shared<const mail::Reply>(mail::Kept(reply, stage()));
  // In the midst of a transaction, or after 421, there is nobody left to say QUIT to.
  const bool handshake = InHandshake() || stage() == SmtpStage::kRset;
  quit_makes_sense_ = quit_makes_sense_ && handshake && reply.code != 421;
  EndSession();
}

void ClientDialogue::ProtocolError(absl::Status why) {
  protocol_error_ = std::move(why);
  quit_makes_sense_ = false;
  EndSession();
}

ReplyPtr ClientDialogue::Share(SmtpStage stage, ReplyPtr* last) {
  const mail::Reply& reply = parser_.reply();
  if (*last != nullptr && (*last)->code == reply.code && (*last)->enhanced == reply.enhanced &&
      (*last)->text == reply.text) {
    return *last;
  }
  mail::Reply kept = mail::Kept(reply, stage);
  if (*last == nullptr || **last != kept) {
    *last = std::make_shared<const mail::Reply>(std::move(kept));
  }
  return *last;
}

}  // namespace postern::smtp

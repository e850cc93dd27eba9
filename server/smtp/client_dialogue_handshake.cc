// ClientDialogue from the greeting to the first transaction: EHLO, STARTTLS (RFC 3207), AUTH
// (RFC 4954).
#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/smtp/client_dialogue.h"

namespace postern::smtp {
namespace {

using mail::SmtpStage;
using StartTls = HandshakePlan::StartTls;

bool Offers(const Capabilities& capabilities, absl::string_view mechanism) {
  const std::vector<std::string>& all = capabilities.auth_mechanisms;
  return std::find(all.begin(), all.end(), mechanism) != all.end();
}

}  // namespace

bool ClientDialogue::InHandshake() const {
  return state_ == State::kGreeting || state_ == State::kEhlo || state_ == State::kHelo ||
         state_ == State::kStartTls || state_ == State::kAuth;
}

void ClientDialogue::OnHandshakeReply() {
  const mail::Reply& reply = parser_.reply();
  if (reply.intermediate()) {
    return ProtocolError(absl::InvalidArgumentError("3yz reply to greeting, EHLO or HELO"));
  }
  if (reply.positive()) {
    if (state_ == State::kGreeting) {
      absl::StrAppend(&output_, "EHLO ", ehlo_hostname_, "\r\n");
      state_ = State::kEhlo;
      return;
    }
    if (state_ == State::kEhlo) capabilities_ = ParseEhlo(reply);
    return OnEhloDone();
  }
  if (state_ == State::kEhlo && reply.permanent()) {  // RFC 5321 §3.2
    absl::StrAppend(&output_, "HELO ", ehlo_hostname_, "\r\n");
    state_ = State::kHelo;
    return;
  }
  ClosedBy(reply);
}

void ClientDialogue::OnEhloDone() {
  if (!secured_ && plan_.starttls != StartTls::kNever) {
    if (capabilities_.starttls) {
      absl::StrAppend(&output_, "STARTTLS\r\n");
      state_ = State::kStartTls;
      return;
    }
    if (plan_.starttls == StartTls::kRequired) {
      state_ = State::kStartTls;
      return Refuse(mail::InternalReply(451, "4.7.4",
                                        "TLS is required, but the host does not offer STARTTLS",
                                        SmtpStage::kStartTls));
    }
  }
  if (plan_.credentials != nullptr) return StartAuth();
  state_ = State::kReady;
}

void ClientDialogue::OnStartTlsReply() {
  const mail::Reply& reply = parser_.reply();
  if (reply.intermediate()) {
    return ProtocolError(absl::InvalidArgumentError("3yz reply to STARTTLS"));
  }
  if (reply.positive()) {
    state_ = State::kTls;
  } else if (plan_.starttls == StartTls::kRequired || reply.code == 421) {
    ClosedBy(reply);
  } else if (plan_.credentials != nullptr) {
    StartAuth();
  } else {
    state_ = State::kReady;  // RFC 3207 §4: it may go on without
  }
}

void ClientDialogue::TlsEstablished(bool verified) {
  POSTERN_CHECK(state_ == State::kTls);
  capabilities_ = Capabilities();
  parser_.Reset();
  secured_ = true;
  verified_ = verified;
  absl::StrAppend(&output_, "EHLO ", ehlo_hostname_, "\r\n");
  state_ = State::kEhlo;
}

void ClientDialogue::StartAuth() {
  state_ = State::kAuth;
  if (!secured_ || !verified_) {
    return Refuse(mail::InternalReply(451, "4.7.0", "no password is sent without verified TLS",
                                      SmtpStage::kAuth));
  }
  if (Offers(capabilities_, "PLAIN")) {
    std::string plain(1, '\0');
    absl::StrAppend(&plain, plan_.credentials->username, absl::string_view("\0", 1),
                    plan_.credentials->password);
    absl::StrAppend(&output_, "AUTH PLAIN ", absl::Base64Escape(plain), "\r\n");
    auth_step_ = 0;
  } else if (Offers(capabilities_, "LOGIN")) {
    absl::StrAppend(&output_, "AUTH LOGIN\r\n");
    auth_step_ = 1;
  } else {
    Refuse(mail::InternalReply(451, "4.7.0", "the host offers neither AUTH PLAIN nor LOGIN",
                               SmtpStage::kAuth));
  }
}

void ClientDialogue::OnAuthReply() {
  const mail::Reply& reply = parser_.reply();
  if (reply.intermediate()) {
    if (auth_step_ != 1 && auth_step_ != 2) {
      return ProtocolError(absl::InvalidArgumentError("3yz reply to AUTH"));
    }
    const mail::Credentials& who = *plan_.credentials;
    const std::string& asked = auth_step_ == 1 ? who.username : who.password;
    absl::StrAppend(&output_, absl::Base64Escape(asked), "\r\n");
    ++auth_step_;
    return;
  }
  if (!reply.positive()) return ClosedBy(reply);
  if (auth_step_ == 1 || auth_step_ == 2) {
    return ProtocolError(absl::InvalidArgumentError("2yz reply before the end of AUTH LOGIN"));
  }
  state_ = State::kReady;
}

void ClientDialogue::Refuse(mail::Reply reply) {
  closing_reply_ = std::make_shared<const mail::Reply>(std::move(reply));
  EndSession();
}

}  // namespace postern::smtp

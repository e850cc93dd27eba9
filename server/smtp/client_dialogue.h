// ClientDialogue: one SMTP client session (RFC 5321) as a state machine without I/O or policy.
//
// The session that owns it moves the bytes:
//
//   for (;;) {
//     switch (dialogue.want()) {
//       case Want::kWrite:           write dialogue.output(), then dialogue.Written(n)
//       case Want::kRead:            read, then dialogue.Feed(bytes)
//       case Want::kTls:             do the TLS handshake, then dialogue.TlsEstablished(verified)
//       case Want::kReady:           dialogue.Begin(transaction), or Quit(), or wait
//       case Want::kSendContent:     AppendContent(chunk)..., FinishContent() after the last one
//       case Want::kTransactionDone: look at TakeResult()
//       case Want::kOver:            close the connection
//     }
//   }
//
// A write or read that fails, a peer that closes and a deadline that passes are all told by
// ConnectionLost(). stage() says which deadline applies. Of the text of a reply no more than
// mail::kMaxKeptTextBytes leaves the dialogue, capabilities() excepted. Thread: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/mail/options.h"
#include "server/mail/reply.h"
#include "server/smtp/dot_writer.h"
#include "server/smtp/ehlo.h"
#include "server/smtp/reply_parser.h"
#include "server/smtp/transaction.h"

namespace postern::smtp {

// What is to happen between EHLO and the first transaction.
struct HandshakePlan {
  enum class StartTls : std::uint8_t { kNever, kIfOffered, kRequired };

  StartTls starttls = StartTls::kNever;
  // Not null: AUTH PLAIN or LOGIN (RFC 4954), over verified TLS only. Outlives the dialogue.
  const mail::Credentials* credentials = nullptr;
};

class ClientDialogue {
 public:
  enum class Want : std::uint8_t {
    kWrite,            // output() has bytes
    kRead,             // a reply is awaited
    kTls,              // the peer awaits our TLS handshake (RFC 3207)
    kReady,            // no transaction, nothing awaited
    kSendContent,      // 354 came for at least one recipient
    kTransactionDone,  // TakeResult() has the result; also when the session is over
    kOver,
  };

  // Content that is appended in chunks of about this size keeps the output buffer small.
  static constexpr std::size_t kContentChunkBytes = 32768;

  // Begins by awaiting the greeting. `ehlo_hostname` is what EHLO and HELO say.
  explicit ClientDialogue(std::string ehlo_hostname, const HandshakePlan& plan = {});
  ClientDialogue(const ClientDialogue&) = delete;
  ClientDialogue& operator=(const ClientDialogue&) = delete;

  Want want() const;

  // The command whose reply is awaited next, kBody from the 354 on, kNone when nothing is awaited.
  mail::SmtpStage stage() const;

  // Bytes to send; valid until the next call of anything that is not const.
  absl::string_view output() const { return output_; }
  // The first `bytes` of output() went to the connection. Call it also before ConnectionLost() when
  // a write failed half way: whether the final dot went out hangs on it.
  void Written(std::size_t bytes);

  // Bytes from the peer, in any state: a peer may say 421 at any time. Does nothing once over.
  void Feed(absl::string_view bytes);

  // No byte can be read or written any more (I/O error, end of stream, deadline).
  void ConnectionLost();

  // The reply, made by ourselves, for a transaction that cannot be sent on this session although
  // another host might take it: 552 5.3.4 (larger than SIZE allows), 550 5.6.7 (SMTPUTF8 is needed
  // but not offered), 501 5.1.3 or 5.1.7 (an address that no command can carry). Nothing: it can.
  std::optional<mail::Reply> CanSend(const Transaction& transaction) const;

  // Starts a transaction; an RSET goes before it if the last one was left open.
  // REQUIRES: want() == kReady, at least one recipient, CanSend() had nothing to say. `transaction`
  // and what it views live until want() is kTransactionDone.
  void Begin(const Transaction& transaction);

  // The content, any bytes; see DotWriter. REQUIRES: stage() == kBody and not finished.
  void AppendContent(absl::string_view chunk);
  // Ends it with the final dot. From here on the transaction may come to be in doubt.
  void FinishContent();

  // Ends the transaction; valid until the next Begin(). REQUIRES: want() == kTransactionDone.
  const TransactionResult& TakeResult();

  // The TLS handshake was made. Forgets all that was said in the clear and says EHLO again.
  // `verified`: the peer has proved who it is. REQUIRES: want() == kTls.
  void TlsEstablished(bool verified);

  // Says QUIT if that makes sense (nothing is awaited, the peer has not closed by 421), else the
  // session is over at once. A refused greeting or EHLO may be followed by it.
  void Quit();

  const Capabilities& capabilities() const { return capabilities_; }
  // Replies so far, whole ones: while it stays the same the same reply is awaited.
  std::uint64_t replies() const { return replies_; }
  // MAIL commands so far, to be compared with LIMITS MAILMAX.
  int mails_sent() const { return mails_sent_; }
  int rcpts_sent() const { return rcpts_sent_; }
  // The reply that ended the session: 421, a refused greeting, EHLO, HELO, AUTH or RSET; where TLS
  // is required, a refused STARTTLS too, or our own words if it is not offered. Otherwise null.
  const ReplyPtr& closing_reply() const { return closing_reply_; }
  // Why the session is over if the peer broke the protocol (RFC 5321); otherwise OK.
  const absl::Status& protocol_error() const { return protocol_error_; }

 private:
  enum class State : std::uint8_t {
    kGreeting,
    kEhlo,
    kHelo,
    kStartTls,
    kTls,  // STARTTLS was accepted: the next bytes belong to TLS
    kAuth,
    kReady,     // also while a result waits to be taken
    kCommands,  // from RSET or MAIL to the reply to DATA
    kContent,
    kBody,     // the dot is in output_ or sent
    kLoneDot,  // 354 came although nobody is to get the message
    kQuit,
    kOver,
  };

  // The commands of a transaction are numbered: RSET, MAIL, RCPT for each recipient, DATA.
  static constexpr std::size_t kRsetStep = 0;
  static constexpr std::size_t kMailStep = 1;
  static constexpr std::size_t kFirstRcptStep = 2;
  std::size_t DataStep() const { return kFirstRcptStep + transaction_->recipients.size(); }
  mail::SmtpStage StageOfStep(std::size_t step) const;
  // Where a transaction ended that has no recipient left: MAIL or RCPT.
  mail::SmtpStage RefusedStage() const;

  void OnReply();
  void OnHandshakeReply();
  void OnEhloDone();
  void OnStartTlsReply();
  void StartAuth();
  void OnAuthReply();
  void OnCommandReply();
  void OnDataReply();
  void OnBodyReply();
  void OnUnsolicited();
  void PumpCommands();
  bool MaySendNext() const;
  void AppendCommand(std::size_t step);
  void AppendMail();
  void EndTransaction(mail::SmtpStage stage);
  void EndSession();
  void ClosedBy(const mail::Reply& reply);
  // Ends the session with a reply of our own.
  void Refuse(mail::Reply reply);
  // States that have one command each, of which a QUIT may follow a refusal.
  bool InHandshake() const;
  void ProtocolError(absl::Status why);
  // What is kept of the parsed reply as a shared value of `stage`: the one in *last again if it is
  // equal.
  ReplyPtr Share(mail::SmtpStage stage, ReplyPtr* last);

  const std::string ehlo_hostname_;
  const HandshakePlan plan_;
  State state_ = State::kGreeting;
  bool secured_ = false;       // by TLS
  bool verified_ = false;      // the peer of it
  int auth_step_ = 0;          // of AUTH LOGIN: 1 the name is asked for, 2 the password
  bool result_waits_ = false;  // a result was not taken yet
  bool needs_rset_ = false;    // the peer may hold a transaction open
  bool dot_sent_ = false;
  bool quit_makes_sense_ = true;
  std::uint64_t replies_ = 0;
  int mails_sent_ = 0;
  int rcpts_sent_ = 0;
  const Transaction* transaction_ = nullptr;  // null outside one
  std::size_t sent_step_ = 0;                 // the next command to send
  std::size_t answered_step_ = 0;             // the next command to be answered; <= sent_step_
  std::size_t accepted_ = 0;                  // recipients with a positive reply, MAIL accepted
  TransactionResult result_;
  DotWriter dot_writer_;
  std::string output_;
  ReplyParser parser_;
  Capabilities capabilities_;
  ReplyPtr last_mail_, last_rcpt_, last_data_;  // see Share()
  ReplyPtr closing_reply_;
  absl::Status protocol_error_;
};

}  // namespace postern::smtp

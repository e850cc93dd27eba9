// Session: one open SMTP connection, from the greeting to its close.
//
// Moves bytes between the stream and the dialogue, takes rows from its pair and writes down what
// the failure policy makes of the replies. It knows no policy of its own and no gRPC.
// Thread: the scheduler thread that owns the pair, for everything.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "server/delivery/failure_policy.h"
#include "server/delivery/pair.h"
#include "server/delivery/phase_timer.h"
#include "server/hooks/hook_point.h"
#include "server/hooks/records.h"
#include "server/net/stream.h"
#include "server/net/watchdog.h"
#include "server/smtp/client_dialogue.h"

namespace postern::delivery {

class Session {
 public:
  // `plaintext`: TLS is left out although the host may offer it.
  Session(Pair& pair, std::unique_ptr<net::Stream> stream, mail::ConnectionInfo info,
          std::unique_ptr<HostTable::Permit> permit, bool plaintext);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The whole life of the connection. Ends with exactly one recorded cause.
  asio::awaitable<ConnectionEnd> Run();

  // There may be work, or a reason to end: an idle session looks, and one that is not ready yet
  // ends if it has to. Does nothing when it is busy.
  void Wake();
  // Ends at the next transaction boundary; at once when idle or not ready yet.
  void RequestShutdown(const hooks::ShutdownVerdict& verdict);
  // Breaks the connection now.
  void Cut(mail::CloseCause cause, std::string detail, std::string provider = {});

  ConnectionEntry entry() const;

  // After Run(): the place at the host, for whoever dials it again at once.
  std::unique_ptr<HostTable::Permit> TakePermit() { return std::move(permit_); }

 private:
  struct Batch;  // the recipients of one transaction

  asio::awaitable<bool> Handshake();
  // The TLS handshake. False: it failed (cause_ is set).
  asio::awaitable<bool> StartTls(hooks::SessionReady& ready);
  void FailTls(std::string why);
  mail::CloseCause CauseOf(const mail::Reply& closing) const;
  ConnectionEnd HandshakeFailure() const;
  mail::RequeueReason HandshakeReason() const;
  // We ended it: that says nothing about the host.
  bool EndedByUs() const;
  asio::awaitable<void> Transactions();
  asio::awaitable<bool> Idle();
  // One transaction for the row. False: the session is to end (cause_ is set).
  asio::awaitable<bool> Deliver(queue::RowPtr row);
  // `content` is null: it is large, and borrowed when the receiver wants it.
  // `offered` are those of the row's recipients that it is for; empty: all.
  asio::awaitable<void> Exchange(queue::QueuedRow& row, const smtp::Transaction& transaction,
                                 const std::vector<std::size_t>& offered,
                                 ContentStore::Content content);
  // Null: content_status_ or cause_ says why not.
  asio::awaitable<ContentStore::Content> BorrowContent(const mail::Row& row);
  asio::awaitable<void> SendContent(ContentStore::Content content);
  // The connection takes no more; what the receiver said last may still be there.
  asio::awaitable<void> ReadLastWords();
  // Nothing more of the message may reach the receiver: for a fault of ours.
  void Break(std::string why);
  asio::awaitable<bool> AskHooks(const Batch& batch, const hooks::AttemptReport& report,
                                 bool session_over);
  asio::awaitable<void> Quit();
  // Moves bytes until the dialogue wants something of its owner.
  asio::awaitable<void> Pump();
  // False if the spool did not write for kRecordPatience.
  asio::awaitable<bool> WaitWritten(spool::Ticket ticket);

  bool EndRequested();
  bool ShouldYield();
  // Why a configuration newer than the connection forbids it; empty: it does not.
  std::string ForbiddenNow();
  bool CheckLimits();
  void NoteLost();
  void Apply(queue::RowPtr row, const Batch& batch, const Judgement& judgement,
             const spool::AttemptRef& attempt);
  void Settle(queue::RowPtr row, const Judgement& judgement, const spool::AttemptRef& attempt);
  // If no attempt is left after this one, who was deferred has failed, also in what is told of it.
  void GiveUpIfLast(const queue::QueuedRow& row, const Batch& batch, Judgement& judgement);
  void RefuseLocally(queue::RowPtr row, const Batch& batch, const mail::Reply& reply);
  void PutOff(queue::RowPtr row, const absl::Status& why);
  // Logs and counts that a content cannot be had; returns how long its row waits.
  absl::Duration NoteUnreadable(const base::Id& message_id, const absl::Status& why);
  void SetCause(mail::CloseCause cause, std::string detail, std::string provider = {});
  absl::Duration TimeoutFor(mail::SmtpStage stage) const;
  // Arms the watchdog: the message's own deadline may come before `timeout`, but not once its
  // content has been sent, when it may be taken.
  void Limit(absl::Duration timeout, bool content_sent);
  void Close();

  Pair& pair_;
  Context& context_;
  const std::shared_ptr<const mail::DeliveryOptions> options_;  // as they were at connect
  std::unique_ptr<net::Stream> stream_;
  const mail::ConnectionInfo info_;
  std::unique_ptr<HostTable::Permit> permit_;
  smtp::ClientDialogue dialogue_;
  net::Watchdog watchdog_;
  PhaseTimer phases_;
  asio::steady_timer idle_timer_;
  const char* phase_ = "greeting";

  bool ready_ = false;  // greeting and handshakes are over
  bool idle_ = false;
  bool timed_out_ = false;
  bool message_expired_ = false;  // timed_out_ by the deadline of the message itself
  bool tls_fault_ = false;        // TLS itself broke the connection, or the handshake failed
  bool local_fault_ = false;      // our own certificate cannot be used
  bool cut_ = false;              // by Cut()
  bool spool_failed_ = false;
  absl::Status content_status_;                     // why there is no content to send
  std::weak_ptr<asio::steady_timer> content_wait_;  // for room in memory
  std::string lost_;                                // how the connection broke
  mail::SmtpStage lost_at_ = mail::SmtpStage::kGreeting;
  base::Id in_transaction_;  // the message of the open transaction; else empty
  hooks::VerdictWait verdict_wait_;
  std::optional<hooks::ShutdownVerdict> requested_;
  std::uint64_t checked_generation_;  // of the configuration: ForbiddenNow looked at it
  std::optional<mail::CloseCause> cause_;
  std::string provider_;
  std::string detail_;
  absl::Duration hold_, avoid_host_;

  absl::Time opened_;                                   // wall clock
  absl::Time opened_steady_;                            // for the lifetime
  absl::Time ready_steady_;                             // when it was ready
  absl::Time expires_steady_ = absl::InfiniteFuture();  // of the message that is being sent
  std::uint64_t deliveries_ = 0;
  std::uint64_t attempts_ = 0;
  std::uint64_t bytes_ = 0;
  int recipients_ = 0;
  char buffer_[2048];
};

}  // namespace postern::delivery

#include "server/smtp/client_dialogue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/check.h"

namespace postern::smtp {
namespace {

using mail::SmtpStage;

// Commands without a reply that may be under way at once. With the replies to that many the peer
// cannot fill both directions' socket buffers, which would stop both sides (RFC 2920 §3.1).
constexpr std::size_t kMaxOutstanding = 256;

// What an output buffer may keep of its capacity while a session waits.
constexpr std::size_t kKeptOutputBytes = 8192;

bool HasNonAscii(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7F;
  });
}

}  // namespace

ClientDialogue::ClientDialogue(std::string ehlo_hostname, const HandshakePlan& plan)
    : ehlo_hostname_(std::move(ehlo_hostname)), plan_(plan) {}

ClientDialogue::Want ClientDialogue::want() const {
  if (result_waits_) return Want::kTransactionDone;
  if (state_ == State::kOver) return Want::kOver;
  if (!output_.empty()) return Want::kWrite;
  if (state_ == State::kReady) return Want::kReady;
  if (state_ == State::kTls) return Want::kTls;
  if (state_ == State::kContent) return Want::kSendContent;
  return Want::kRead;
}

SmtpStage ClientDialogue::StageOfStep(std::size_t step) const {
  if (step == kRsetStep) return SmtpStage::kRset;
  if (step == kMailStep) return SmtpStage::kMail;
  return step < DataStep() ? SmtpStage::kRcpt : SmtpStage::kData;
}

SmtpStage ClientDialogue::stage() const {
  switch (state_) {
    case State::kGreeting:
      return SmtpStage::kGreeting;
    case State::kEhlo:
      return SmtpStage::kEhlo;
    case State::kHelo:
      return SmtpStage::kHelo;
    case State::kStartTls:
    case State::kTls:
      return SmtpStage::kStartTls;
    case State::kAuth:
      return SmtpStage::kAuth;
    case State::kCommands:
      return StageOfStep(answered_step_);
    case State::kContent:
    case State::kBody:
    case State::kLoneDot:
      return SmtpStage::kBody;
    case State::kQuit:
      return SmtpStage::kQuit;
    case State::kReady:
    case State::kOver:
      break;
  }
  return SmtpStage::kNone;
}

void ClientDialogue::Written(std::size_t bytes) {
  if (state_ == State::kOver) return;
  POSTERN_CHECK(bytes <= output_.size());
  output_.erase(0, bytes);
  if (state_ == State::kBody && output_.empty()) dot_sent_ = true;
}

void ClientDialogue::ConnectionLost() {
  quit_makes_sense_ = false;
  EndSession();
}

std::optional<mail::Reply> ClientDialogue::CanSend(const Transaction& t) const {
  if (HasControl(t.sender)) {
    return mail::InternalReply(501, "5.1.7", "sender address cannot be sent", SmtpStage::kMail);
  }
  bool utf8 = t.smtp_utf8 || HasNonAscii(t.sender);
  for (absl::string_view recipient : t.recipients) {
    if (recipient.empty() || HasControl(recipient)) {
      return mail::InternalReply(501, "5.1.3", "recipient address cannot be sent",
                                 SmtpStage::kRcpt);
    }
    utf8 = utf8 || HasNonAscii(recipient);
  }
  if (utf8 && !capabilities_.smtp_utf8) {
    return mail::InternalReply(550, "5.6.7", "receiver does not offer SMTPUTF8", SmtpStage::kMail);
  }
  if (capabilities_.max_message_bytes != 0 && t.content_bytes > capabilities_.max_message_bytes) {
    return mail::InternalReply(
        552, "5.3.4",
        absl::StrCat("message of ", t.content_bytes, " bytes exceeds the receiver's limit of ",
                     capabilities_.max_message_bytes),
        SmtpStage::kMail);
  }
  return std::nullopt;
}

void ClientDialogue::Begin(const Transaction& transaction) {
  POSTERN_CHECK(want() == Want::kReady);
  POSTERN_CHECK(!transaction.recipients.empty());
  transaction_ = &transaction;
  result_.recipients.assign(transaction.recipients.size(), nullptr);
  result_.mail = result_.data = result_.body = nullptr;
  result_.stage = SmtpStage::kNone;
  result_.session_over = result_.in_doubt = false;
  accepted_ = 0;
  dot_sent_ = false;
  sent_step_ = answered_step_ = needs_rset_ ? kRsetStep : kMailStep;
  state_ = State::kCommands;
  PumpCommands();
}

bool ClientDialogue::MaySendNext() const {
  if (sent_step_ > DataStep()) return false;
  if (result_.mail != nullptr && !result_.mail->positive()) return false;
  const std::size_t outstanding = sent_step_ - answered_step_;
  // DATA makes no sense once every recipient is known to be refused.
  if (sent_step_ == DataStep() && outstanding == 0 && accepted_ == 0) return false;
  return capabilities_.pipelining ? outstanding < kMaxOutstanding : outstanding == 0;
}

// All that may be sent now goes into one write: with PIPELINING usually MAIL, RCPT... and DATA.
void ClientDialogue::PumpCommands() {
  while (MaySendNext()) AppendCommand(sent_step_++);
}

void ClientDialogue::AppendCommand(std::size_t step) {
  if (step == kRsetStep) {
    absl::StrAppend(&output_, "RSET\r\n");
  } else if (step == kMailStep) {
    AppendMail();
  } else if (step == DataStep()) {
    absl::StrAppend(&output_, "DATA\r\n");
  } else {
    const absl::string_view recipient = transaction_->recipients[step - kFirstRcptStep];
    POSTERN_CHECK(!HasControl(recipient));  // CanSend() said so; a CR here would be a command
    ++rcpts_sent_;
    absl::StrAppend(&output_, "RCPT TO:<", recipient, ">\r\n");
  }
}

void ClientDialogue::AppendMail() {
  const Transaction& t = *transaction_;
  POSTERN_CHECK(!HasControl(t.sender));
  absl::StrAppend(&output_, "MAIL FROM:<", t.sender, ">");
  if (capabilities_.size) absl::StrAppend(&output_, " SIZE=", t.content_bytes);
  // Without 8BITMIME 8-bit content goes as it is: every receiver of today passes it on, and a
  // conversion would break signatures.
  if (t.eight_bit && capabilities_.eight_bit_mime) absl::StrAppend(&output_, " BODY=8BITMIME");
  if (capabilities_.smtp_utf8 &&
      (t.smtp_utf8 || HasNonAscii(t.sender) ||
       std::any_of(t.recipients.begin(), t.recipients.end(), HasNonAscii))) {
    absl::StrAppend(&output_, " SMTPUTF8");
  }
  absl::StrAppend(&output_, "\r\n");
  ++mails_sent_;
}

void ClientDialogue::AppendContent(absl::string_view chunk) {
  POSTERN_CHECK(state_ == State::kContent);
  output_.reserve(output_.size() + chunk.size() + chunk.size() / 64 + 8);
  dot_writer_.Append(chunk, &output_);
}

void ClientDialogue::FinishContent() {
  POSTERN_CHECK(state_ == State::kContent);
  dot_writer_.Finish(&output_);
  state_ = State::kBody;
}

const TransactionResult& ClientDialogue::TakeResult() {
  POSTERN_CHECK(result_waits_);
  result_waits_ = false;
  result_.session_over = state_ == State::kOver;
  return result_;
}

void ClientDialogue::EndTransaction(SmtpStage stage) {
  result_.stage = stage;
  result_waits_ = true;
  transaction_ = nullptr;
  state_ = State::kReady;
  if (output_.capacity() > kKeptOutputBytes) std::string().swap(output_);
}

void ClientDialogue::EndSession() {
  if (state_ == State::kOver) return;
  if (transaction_ != nullptr) {
    result_.in_doubt = dot_sent_ && result_.body == nullptr;
    dot_writer_ = DotWriter();
    // At a lone dot the outcome stands already, and what happens there does not change it.
    EndTransaction(state_ == State::kLoneDot ? RefusedStage() : stage());
  }
  output_.clear();
  state_ = State::kOver;
}

void ClientDialogue::Quit() {
  const bool idle = state_ == State::kReady || state_ == State::kOver;
  if (!idle || !quit_makes_sense_) {
    quit_makes_sense_ = false;
    EndSession();
    return;
  }
  quit_makes_sense_ = false;
  output_ = "QUIT\r\n";
  state_ = State::kQuit;
}

}  // namespace postern::smtp

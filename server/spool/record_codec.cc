#include "server/spool/record_codec.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/spool/wire.h"

namespace postern::spool {
namespace {

constexpr unsigned char kRowVersion = 1;
constexpr unsigned char kMarkVersion = 1;
constexpr char kMarkSuffix = 1;
constexpr std::size_t kMarkBytes = 9;  // version and epoch

// Field numbers of a row. Never used twice.
enum Field : std::uint64_t {
  kRowCount = 1,
  kDomain = 2,
  kBinding = 3,
  kSender = 4,
  kCreated = 5,
  kExpires = 6,
  kNextAttempt = 7,
  kAttempts = 8,
  kReason = 9,
  kPriority = 10,
  kFlags = 11,
  kContentBytes = 12,
  kTenant = 13,
  kToken = 14,
  kReply = 15,
  kRecipient = 16,
  kSubmitter = 17,
  kLastAttempt = 18,
};

enum Flag : std::uint64_t { kInDoubt = 1, kEightBit = 2, kSmtpUtf8 = 4 };

// --- Writing ---

void PutReply(std::string& out, std::string& scratch, const mail::Reply& reply) {
  scratch.clear();
  PutVarint(scratch, static_cast<std::uint64_t>(std::clamp(reply.code, 0, 999)));
  PutVarint(scratch, static_cast<std::uint64_t>(reply.stage));
  PutBytes(scratch, reply.enhanced);
  PutBytes(scratch, reply.text);
  PutBytesField(out, kReply, scratch);
}

void PutRecipients(std::string& out, const std::vector<mail::Recipient>& recipients,
                   Recipients which) {
  // Recipients share replies by pointer; each is written once, before the first who got it.
  absl::flat_hash_map<const mail::Reply*, std::uint64_t> position;
  std::string scratch;
  for (const mail::Recipient& recipient : recipients) {
    if (which == Recipients::kUnreported && !recipient.unreported) continue;
    std::uint64_t reply = 0;
    if (recipient.last_reply != nullptr) {
      auto [at, fresh] = position.try_emplace(recipient.last_reply.get(), position.size() + 1);
      if (fresh) PutReply(out, scratch, *recipient.last_reply);
      reply = at->second;
    }
    scratch.clear();
    PutVarint(scratch, static_cast<std::uint64_t>(recipient.disposition));
    PutVarint(scratch, reply);
    PutBytes(scratch, recipient.address);
    if (recipient.changed != absl::InfinitePast() || recipient.in_doubt) {
      PutVarint(scratch, FromTime(recipient.changed));
    }
    if (recipient.in_doubt) PutVarint(scratch, kInDoubt);
    PutBytesField(out, kRecipient, scratch);
  }
}

std::uint64_t Flags(const mail::Row& row) {
  std::uint64_t flags = 0;
  if (row.in_doubt) flags |= kInDoubt;
  if (row.eight_bit) flags |= kEightBit;
  if (row.smtp_utf8) flags |= kSmtpUtf8;
  return flags;
}

// --- Reading ---

mail::SmtpStage ToStage(std::uint64_t v) {
  return v <= static_cast<std::uint64_t>(mail::SmtpStage::kQuit) ? static_cast<mail::SmtpStage>(v)
                                                                 : mail::SmtpStage::kNone;
}

mail::RequeueReason ToReason(std::uint64_t v) {
  const bool known = v >= 1 && v <= static_cast<std::uint64_t>(mail::RequeueReason::kProtocolError);
  return known ? static_cast<mail::RequeueReason>(v) : mail::RequeueReason::kRestart;
}

// Decodes one row's body field by field.
class RowDecoder {
 public:
  explicit RowDecoder(absl::string_view body) : in_(body) {}

  bool Decode() {
    while (!in_.done()) {
      const std::uint64_t tag = in_.Varint();
      if ((tag & 1) != 0) {
        const absl::string_view bytes = in_.Bytes();
        if (in_.ok() && !TakeBytes(tag >> 1, bytes)) return false;
      } else {
        TakeNumber(tag >> 1);
      }
    }
    return in_.ok() && !pair_.domain.empty();
  }

  mail::Row& row() { return row_; }
  mail::PairKey& pair() { return pair_; }

 private:
  void TakeNumber(std::uint64_t field) {
    switch (field) {
      case kRowCount:
        row_.row_count = in_.Number<std::uint16_t>();
        break;
      case kCreated:
        row_.created = ToTime(in_.Varint());
        break;
      case kExpires:
        row_.expires = ToTime(in_.Varint());
        break;
      case kNextAttempt:
        row_.next_attempt = ToTime(in_.Varint());
        break;
      case kLastAttempt:
        row_.last_attempt = ToTime(in_.Varint());
        break;
      case kAttempts:
        row_.attempts = in_.Number<std::uint32_t>();
        break;
      case kReason:
        row_.reason = ToReason(in_.Varint());
        break;
      case kPriority:
        row_.priority = in_.Number<std::uint8_t>();
        break;
      case kFlags:
        TakeFlags(in_.Varint());
        break;
      case kContentBytes:
        row_.content_bytes = in_.Varint();
        break;
      default:
        in_.Varint();
        break;  // a later field
    }
  }

  void TakeFlags(std::uint64_t flags) {
    row_.in_doubt = (flags & kInDoubt) != 0;
    row_.eight_bit = (flags & kEightBit) != 0;
    row_.smtp_utf8 = (flags & kSmtpUtf8) != 0;
  }

  bool TakeBytes(std::uint64_t field, absl::string_view bytes) {
    switch (field) {
      case kDomain:
        pair_.domain = Copy(bytes);
        return true;
      case kBinding:
        pair_.binding = Copy(bytes);
        return true;
      case kSender:
        row_.sender = Copy(bytes);
        return true;
      case kTenant:
        row_.tenant = Copy(bytes);
        return true;
      case kToken:
        row_.token = Copy(bytes);
        return true;
      case kSubmitter:
        row_.submitter = Copy(bytes);
        return true;
      case kReply:
        return TakeReply(bytes);
      case kRecipient:
        return TakeRecipient(bytes);
      default:
        return true;  // a later field
    }
  }

  bool TakeReply(absl::string_view bytes) {
    Reader in(bytes);
    mail::Reply reply;
    reply.code = static_cast<int>(in.Number<std::uint32_t>(999));
    reply.stage = ToStage(in.Varint());
    reply.enhanced = Copy(in.Bytes());
    reply.text = Copy(in.Bytes());
    if (!in.ok()) return false;
    replies_.push_back(std::make_shared<const mail::Reply>(std::move(reply)));
    return true;
  }

  bool TakeRecipient(absl::string_view bytes) {
    Reader in(bytes);
    mail::Recipient recipient;
    const std::uint64_t disposition = in.Varint();
    const std::uint64_t reply = in.Varint();
    recipient.address = Copy(in.Bytes());
    if (!in.done()) recipient.changed = ToTime(in.Varint());
    if (!in.done()) recipient.in_doubt = (in.Varint() & kInDoubt) != 0;
    // An unknown disposition is refused: a recipient must not be attempted again, nor forgotten, on
    // a guess.
    if (!in.ok() || reply > replies_.size() || disposition < 1 ||
        disposition > static_cast<std::uint64_t>(mail::Disposition::kCancelled)) {
      return false;
    }
    recipient.disposition = static_cast<mail::Disposition>(disposition);
    if (reply > 0) recipient.last_reply = replies_[static_cast<std::size_t>(reply) - 1];
    row_.recipients.push_back(std::move(recipient));
    return true;
  }

  Reader in_;
  mail::Row row_;
  mail::PairKey pair_;
  std::vector<std::shared_ptr<const mail::Reply>> replies_;
};

}  // namespace

RowKey::RowKey(const base::Id& id, std::uint16_t index) {
  std::memcpy(bytes_.data(), id.bytes.data(), id.bytes.size());
  bytes_[16] = static_cast<char>(index >> 8);
  bytes_[17] = static_cast<char>(index & 0xff);
  bytes_[18] = kMarkSuffix;
}

std::shared_ptr<const mail::PairKey> PairInterner::Intern(const mail::PairKey& pair) {
  const auto found = pairs_.find(pair);
  if (found != pairs_.end()) return found->second;
  auto shared = std::make_shared<const mail::PairKey>(pair);
  pairs_.emplace(pair, shared);
  return shared;
}

std::string EncodeRow(const mail::Row& row, Recipients which) {
  POSTERN_CHECK(row.pair != nullptr);
  std::string body;
  body.reserve(128 + row.sender.size() + 64 * row.recipients.size());
  if (row.row_count != 1) PutNumberField(body, kRowCount, row.row_count);
  PutBytesField(body, kDomain, row.pair->domain);
  PutBytesField(body, kBinding, row.pair->binding);
  PutBytesField(body, kSender, row.sender);
  PutNumberField(body, kCreated, FromTime(row.created));
  PutNumberField(body, kExpires, FromTime(row.expires));
  PutNumberField(body, kNextAttempt, FromTime(row.next_attempt));
  if (row.last_attempt != absl::InfinitePast()) {
    PutNumberField(body, kLastAttempt, FromTime(row.last_attempt));
  }
  PutNumberField(body, kAttempts, row.attempts);
  PutNumberField(body, kReason, static_cast<std::uint64_t>(row.reason));
  PutNumberField(body, kPriority, row.priority);
  PutNumberField(body, kFlags, Flags(row));
  PutNumberField(body, kContentBytes, row.content_bytes);
  PutBytesField(body, kTenant, row.tenant);
  PutBytesField(body, kToken, row.token);
  PutBytesField(body, kSubmitter, row.submitter);
  PutRecipients(body, row.recipients, which);

  return Frame(kRowVersion, body);
}

absl::StatusOr<mail::Row> DecodeRow(absl::string_view key, absl::string_view value,
                                    PairInterner* pairs) {
  if (key.size() != kRowKeyBytes) return absl::DataLossError("a row's key has the wrong length");
  const absl::StatusOr<absl::string_view> body = Unframe("a row's record", kRowVersion, value);
  if (!body.ok()) return body.status();
  RowDecoder decoder(*body);
  if (!decoder.Decode()) return absl::DataLossError("a row's record does not parse");

  mail::Row& row = decoder.row();
  row.message_id = *base::IdFromKey(key.substr(0, 16));
  row.index = RowIndex(key);
  if (row.index >= row.row_count) return absl::DataLossError("a row's index is out of range");
  // Written before recipients had it: any of them may be the one.
  const bool says_who = std::any_of(row.recipients.begin(), row.recipients.end(),
                                    [](const mail::Recipient& r) { return r.in_doubt; });
  if (row.in_doubt && !says_who) row.Doubt({});
  row.pair = pairs != nullptr ? pairs->Intern(decoder.pair())
                              : std::make_shared<const mail::PairKey>(std::move(decoder.pair()));
  return std::move(row);
}

std::string EncodeMark(std::uint64_t epoch) {
  std::string value(1, static_cast<char>(kMarkVersion));
  PutBigEndian(value, epoch);
  return value;
}

bool MarkIsOf(absl::string_view value, std::uint64_t epoch) {
  const std::string ours = EncodeMark(epoch);
  return value.substr(0, kMarkBytes) == absl::string_view(ours.data(), ours.size());
}

std::string EncodeOffered(const std::vector<std::size_t>& offered) {
  std::string value;
  for (const std::size_t i : offered) PutVarint(value, i);
  return value;
}

std::vector<std::size_t> OfferedOf(absl::string_view mark) {
  std::vector<std::size_t> offered;
  if (mark.size() <= kMarkBytes) return offered;
  Reader in(mark.substr(kMarkBytes));
  while (!in.done()) offered.push_back(static_cast<std::size_t>(in.Varint()));
  if (!in.ok()) offered.clear();
  return offered;
}

}  // namespace postern::spool

#include "server/spool/tokens.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/spool/wire.h"

namespace postern::spool {
namespace {

constexpr unsigned char kTokenVersion = 1;

enum Field : std::uint64_t { kTime = 1, kContent = 2, kMessageId = 3, kRow = 4 };

struct Token {
  absl::Time time = absl::InfiniteFuture();
  absl::string_view content;
  StoredMessage message;
};

bool TakeRow(absl::string_view bytes, StoredMessage& message) {
  Reader in(bytes);
  StoredMessage::Row& row = message.rows.emplace_back();
  row.recipients = in.Number<std::uint32_t>();
  row.pair.domain = Copy(in.Bytes());
  row.pair.binding = Copy(in.Bytes());
  return in.ok();
}

bool TakeBytes(std::uint64_t field, absl::string_view bytes, Token& token) {
  if (field == kContent) token.content = bytes;
  if (field == kRow) return TakeRow(bytes, token.message);
  if (field == kMessageId) {
    const std::optional<base::Id> id = base::IdFromKey(bytes);
    if (!id.has_value()) return false;
    token.message.message_id = *id;
  }
  return true;
}

absl::StatusOr<Token> DecodeToken(absl::string_view value) {
  const absl::StatusOr<absl::string_view> body = Unframe("a token's record", kTokenVersion, value);
  if (!body.ok()) return body.status();
  Token token;
  Reader in(*body);
  while (!in.done()) {
    const std::uint64_t tag = in.Varint();
    if ((tag & 1) != 0) {
      const absl::string_view bytes = in.Bytes();
      if (in.ok() && !TakeBytes(tag >> 1, bytes, token)) break;
    } else {
      const std::uint64_t number = in.Varint();
      if (tag >> 1 == kTime) token.time = ToTime(number);
    }
  }
  if (!in.ok() || !in.done() || token.message.message_id.empty() || token.message.rows.empty()) {
    return absl::DataLossError("a token's record does not parse");
  }
  return token;
}

}  // namespace

std::string TokenKey(const TokenClaim& claim) {
  std::string key;
  PutBytes(key, claim.identity);
  key.append(claim.token);
  return key;
}

std::string EncodeToken(const TokenClaim& claim, const std::vector<mail::Row>& rows,
                        absl::Time now) {
  std::string body;
  PutNumberField(body, kTime, FromTime(now));
  PutBytesField(
      body, kContent,
      absl::string_view(reinterpret_cast<const char*>(claim.content.data()), claim.content.size()));
  PutBytesField(body, kMessageId, rows.front().message_id.AsKey());
  std::string scratch;
  for (const mail::Row& row : rows) {
    scratch.clear();
    PutVarint(scratch, row.recipients.size());
    PutBytes(scratch, row.pair->domain);
    PutBytes(scratch, row.pair->binding);
    PutBytesField(body, kRow, scratch);
  }
  return Frame(kTokenVersion, body);
}

absl::Time TokenTime(absl::string_view value) {
  const absl::StatusOr<Token> token = DecodeToken(value);
  return token.ok() ? token->time : absl::InfiniteFuture();
}

absl::StatusOr<std::optional<StoredMessage>> AnswerFor(absl::string_view mine,
                                                       absl::string_view known) {
  const absl::StatusOr<Token> now = DecodeToken(mine);
  absl::StatusOr<Token> then = DecodeToken(known);
  if (!now.ok()) return now.status();
  if (!then.ok()) return then.status();
  if (now->content != then->content) {
    return absl::AlreadyExistsError(absl::StrCat("token: was used with other content, for message ",
                                                 then->message.message_id.ToString()));
  }
  return std::optional<StoredMessage>(std::move(then->message));
}

absl::StatusOr<bool> TokenDesk::Check(Database& database, WriteOp& op, absl::Time now) {
  op.token->known.clear();
  if (const auto ahead = claimed_.find(op.token->key); ahead != claimed_.end()) {
    op.token->known = ahead->second;
    return false;
  }
  std::string value;
  const rocksdb::Status status =
      database.db().Get(rocksdb::ReadOptions(), database.tokens(), op.token->key, &value);
  if (status.IsNotFound()) return true;
  if (!status.ok()) {
    return absl::UnavailableError(absl::StrCat("spool: cannot read a token: ", status.ToString()));
  }
  const absl::StatusOr<Token> token = DecodeToken(value);
  if (!token.ok()) {
    metrics_.records_set_aside.Add();
    base::Log().error("spool: a token's record cannot be read and is replaced: {}",
                      token.status().ToString());
    return true;
  }
  if (token->time + ttl_ <= now) return true;
  op.token->known = std::move(value);
  return false;
}

void TokenDesk::Claim(const WriteOp& op) { claimed_.emplace(op.token->key, op.token->value); }

}  // namespace postern::spool

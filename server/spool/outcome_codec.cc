#include "server/spool/outcome_codec.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "server/spool/wire.h"

namespace postern::spool {
namespace {

constexpr unsigned char kOutcomeVersion = 1;

// Field numbers of an outcome's record. Never used twice. The count comes first: OutcomeCount.
enum Field : std::uint64_t {
  kCount = 1,
  kTime = 2,
  kRowKey = 3,
  kRow = 4,
  kNews = 5,
  kConnection = 6,
  kTook = 7,
};

enum BookKey : char { kLog = 0, kCheckpoint = 1, kConsumer = 2 };

std::string EncodeConnection(const mail::ConnectionInfo& connection) {
  std::string out(connection.id.AsKey().data(), connection.id.AsKey().size());
  PutBytes(out, connection.mx_host);
  PutBytes(out, connection.remote_address);
  PutBytes(out, connection.local_address);
  return out;
}

bool TakeConnection(absl::string_view bytes, OutcomeRecord& record) {
  Reader in(bytes);
  mail::ConnectionInfo connection;
  const std::optional<base::Id> id = base::IdFromKey(in.Raw(16));
  connection.mx_host = Copy(in.Bytes());
  connection.remote_address = Copy(in.Bytes());
  connection.local_address = Copy(in.Bytes());
  if (!in.ok() || !id.has_value()) return false;
  connection.id = *id;
  record.connection = std::move(connection);
  return true;
}

// The parts of a record, before they are put together.
struct Parts {
  absl::string_view row_key, row, news, connection;
  std::uint64_t count = 0, time = 0, took = 0;

  bool Read(absl::string_view body) {
    Reader in(body);
    while (!in.done()) {
      const std::uint64_t tag = in.Varint();
      if ((tag & 1) != 0) {
        const absl::string_view bytes = in.Bytes();
        if (tag >> 1 == kRowKey) row_key = bytes;
        if (tag >> 1 == kRow) row = bytes;
        if (tag >> 1 == kNews) news = bytes;
        if (tag >> 1 == kConnection) connection = bytes;
      } else {
        const std::uint64_t number = in.Varint();
        if (tag >> 1 == kCount) count = number;
        if (tag >> 1 == kTime) time = number;
        if (tag >> 1 == kTook) took = number;
      }
    }
    return in.ok();
  }
};

bool TakeNews(const Parts& parts, OutcomeRecord& record) {
  const std::size_t recipients = record.row.recipients.size();
  if (parts.news.empty()) {
    for (std::uint32_t i = 0; i < recipients; ++i) record.news.push_back(i);
  }
  Reader in(parts.news);
  while (!in.done()) {
    record.news.push_back(in.Number<std::uint32_t>());
    if (record.news.back() >= recipients) return false;
  }
  return in.ok() && !record.news.empty() && record.news.size() == parts.count;
}

absl::Status Damaged() { return absl::DataLossError("an outcome's record does not parse"); }

}  // namespace

std::string OutcomeKey(std::uint64_t sequence) {
  std::string key;
  PutBigEndian(key, sequence);
  return key;
}

EncodedOutcome EncodeOutcome(const mail::Row& row, absl::Time now, const AttemptRef& attempt) {
  EncodedOutcome encoded;
  for (const mail::Recipient& recipient : row.recipients) encoded.count += recipient.unreported;
  if (encoded.count == 0) return encoded;
  const bool final = row.final();
  std::string body;
  body.reserve(256);
  PutNumberField(body, kCount, encoded.count);
  PutNumberField(body, kTime, FromTime(now));
  PutBytesField(body, kRowKey, RowKey(row.message_id, row.index).row());
  PutBytesField(body, kRow, EncodeRow(row, final ? Recipients::kAll : Recipients::kUnreported));
  if (final && encoded.count < row.recipients.size()) {
    std::string news;
    for (std::size_t i = 0; i < row.recipients.size(); ++i) {
      if (row.recipients[i].unreported) PutVarint(news, i);
    }
    PutBytesField(body, kNews, news);
  }
  if (attempt.connection != nullptr) {
    PutBytesField(body, kConnection, EncodeConnection(*attempt.connection));
    const std::int64_t micros = std::max<std::int64_t>(absl::ToInt64Microseconds(attempt.took), 0);
    PutNumberField(body, kTook, static_cast<std::uint64_t>(micros));
  }
  encoded.value = Frame(kOutcomeVersion, body);
  return encoded;
}

absl::StatusOr<OutcomeRecord> DecodeOutcome(absl::string_view key, absl::string_view value) {
  const absl::StatusOr<absl::string_view> body =
      Unframe("an outcome's record", kOutcomeVersion, value);
  if (!body.ok()) return body.status();
  Parts parts;
  if (key.size() != 8 || !parts.Read(*body)) return Damaged();
  absl::StatusOr<mail::Row> row = DecodeRow(parts.row_key, parts.row);
  if (!row.ok()) return row.status();
  OutcomeRecord record;
  record.sequence = BigEndian(key);
  record.time = ToTime(parts.time);
  record.row = *std::move(row);
  record.took = absl::Microseconds(static_cast<std::int64_t>(parts.took));
  if (!TakeNews(parts, record)) return Damaged();
  if (!parts.connection.empty() && !TakeConnection(parts.connection, record)) return Damaged();
  return record;
}

std::uint32_t OutcomeCount(absl::string_view value) {
  const absl::StatusOr<absl::string_view> body =
      Unframe("an outcome's record", kOutcomeVersion, value);
  if (!body.ok()) return 1;
  Reader in(*body);
  if (in.Varint() != kCount << 1) return 1;
  const auto count = in.Number<std::uint32_t>();
  return in.ok() ? std::max<std::uint32_t>(count, 1) : 1;
}

std::string HistoryKey(const base::Id& id, std::uint16_t index, std::uint64_t sequence) {
  std::string key = Copy(RowKey(id, index).row());
  PutBigEndian(key, sequence);
  return key;
}

std::uint64_t HistorySequence(absl::string_view key) { return BigEndian(key.substr(kRowKeyBytes)); }

std::string LogKey() { return std::string(1, kLog); }

std::string CheckpointKey(std::uint64_t sequence) {
  std::string key(1, kCheckpoint);
  PutBigEndian(key, sequence);
  return key;
}

std::string ConsumerKey(absl::string_view name) {
  std::string key(1, kConsumer);
  key.append(name.data(), name.size());
  return key;
}

bool IsCheckpointKey(absl::string_view key) { return key.size() == 9 && key[0] == kCheckpoint; }

absl::string_view ConsumerName(absl::string_view key) {
  return key.size() > 1 && key[0] == kConsumer ? key.substr(1) : absl::string_view();
}

std::string Encode(const LogRecord& record) {
  std::string body;
  PutNumberField(body, 1, record.log);
  PutNumberField(body, 2, record.floor);
  return Frame(kOutcomeVersion, body);
}

std::string Encode(const Checkpoint& checkpoint) {
  std::string body;
  PutNumberField(body, 1, FromTime(checkpoint.time));
  PutNumberField(body, 2, checkpoint.bytes);
  PutNumberField(body, 3, checkpoint.messages);
  return Frame(kOutcomeVersion, body);
}

std::string Encode(const Consumer& consumer) {
  std::string body;
  PutNumberField(body, 1, consumer.cursor);
  PutNumberField(body, 2, FromTime(consumer.seen));
  return Frame(kOutcomeVersion, body);
}

namespace {

// Numbers of the fields 1 to 3; fields of kind 1 and later ones are skipped.
absl::StatusOr<std::array<std::uint64_t, 4>> ReadNumbers(absl::string_view value) {
  const absl::StatusOr<absl::string_view> body =
      Unframe("a record of books", kOutcomeVersion, value);
  if (!body.ok()) return body.status();
  std::array<std::uint64_t, 4> numbers{};
  Reader in(*body);
  while (!in.done()) {
    const std::uint64_t tag = in.Varint();
    if ((tag & 1) != 0) {
      in.Bytes();
      continue;
    }
    const std::uint64_t number = in.Varint();
    if (tag >> 1 < numbers.size()) numbers[tag >> 1] = number;
  }
  if (!in.ok()) return absl::DataLossError("a record of books does not parse");
  return numbers;
}

}  // namespace

absl::StatusOr<LogRecord> DecodeLog(absl::string_view value) {
  const auto numbers = ReadNumbers(value);
  if (!numbers.ok()) return numbers.status();
  return LogRecord{(*numbers)[1], std::max<std::uint64_t>((*numbers)[2], 1)};
}

absl::StatusOr<Checkpoint> DecodeCheckpoint(absl::string_view key, absl::string_view value) {
  const auto numbers = ReadNumbers(value);
  if (!numbers.ok()) return numbers.status();
  return Checkpoint{BigEndian(key.substr(1)), ToTime((*numbers)[1]), (*numbers)[2], (*numbers)[3]};
}

absl::StatusOr<Consumer> DecodeConsumer(absl::string_view value) {
  const auto numbers = ReadNumbers(value);
  if (!numbers.ok()) return numbers.status();
  return Consumer{(*numbers)[1], ToTime((*numbers)[2])};
}

}  // namespace postern::spool

// The records of outcomes and of who has read them, as bytes, and their keys. FORMAT.md is the
// page.
//
// Thread: any.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/ids.h"
#include "server/spool/outcome.h"
#include "server/spool/record_codec.h"

namespace postern::spool {

// --- Column family `outcomes`: sequence -> record ---

std::string OutcomeKey(std::uint64_t sequence);

struct EncodedOutcome {
  std::string value;        // empty: no recipient of the row has news
  std::uint32_t count = 0;  // of outcomes
};
EncodedOutcome EncodeOutcome(const mail::Row& row, absl::Time now, const AttemptRef& attempt);

// UNIMPLEMENTED, DATA_LOSS: as DecodeRow.
absl::StatusOr<OutcomeRecord> DecodeOutcome(absl::string_view key, absl::string_view value);
// How many outcomes the record holds; 1 if that cannot be read.
std::uint32_t OutcomeCount(absl::string_view value);

// --- Column family `history`: row's key, sequence -> nothing ---

inline constexpr std::size_t kHistoryKeyBytes = kRowKeyBytes + 8;
std::string HistoryKey(const base::Id& id, std::uint16_t index, std::uint64_t sequence);
// REQUIRES: kHistoryKeyBytes.
std::uint64_t HistorySequence(absl::string_view key);

// --- Column family `books` ---

// Where a run of outcomes begins that goes as a whole. Totals are those of all outcomes before it.
struct Checkpoint {
  std::uint64_t sequence = 1;
  absl::Time time;
  std::uint64_t bytes = 0;
  std::uint64_t messages = 0;
};
struct LogRecord {
  std::uint64_t log = 0;
  std::uint64_t floor = 1;  // the first outcome that is kept
};
struct Consumer {
  std::uint64_t cursor = 0;
  absl::Time seen;
};

std::string LogKey();
std::string CheckpointKey(std::uint64_t sequence);
std::string ConsumerKey(absl::string_view name);
bool IsCheckpointKey(absl::string_view key);
// The consumer's name; empty: not such a key.
absl::string_view ConsumerName(absl::string_view key);

std::string Encode(const LogRecord& record);
std::string Encode(const Checkpoint& checkpoint);
std::string Encode(const Consumer& consumer);
absl::StatusOr<LogRecord> DecodeLog(absl::string_view value);
absl::StatusOr<Checkpoint> DecodeCheckpoint(absl::string_view key, absl::string_view value);
absl::StatusOr<Consumer> DecodeConsumer(absl::string_view value);

}  // namespace postern::spool

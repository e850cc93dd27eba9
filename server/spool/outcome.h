// Outcomes: every disposition that was recorded, in order, kept until those who count on them have
// acknowledged them or the retention is over. OutcomeSource is the seam for who reads them.
//
// An outcome is the disposition of one recipient after one attempt (or without one: expired, failed
// by an operator). It is written in the same batch as the row's change, so what is recorded is told
// and what is told was recorded. Outcomes are numbered from 1 without holes; those of one row's
// change are one record. The same records are what is known of finished messages.
//
// Thread: any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/mail/connection.h"
#include "server/mail/row.h"

namespace postern::spool {

// The connection on which an attempt was made. Null: the row changed without one.
struct AttemptRef {
  const mail::ConnectionInfo* connection = nullptr;
  absl::Duration took;
};

// One change of a row, as it was recorded.
struct OutcomeRecord {
  std::uint64_t sequence = 0;  // of the first outcome; the others follow
  absl::Time time;             // when it was recorded
  // As it was then. A row that is final has all its recipients, any other those of `news` only.
  mail::Row row;
  std::vector<std::uint32_t> news;  // positions in row.recipients: the outcomes, in order
  // Set if there was an attempt: id, hosts and addresses (pair and slot are the row's).
  std::optional<mail::ConnectionInfo> connection;
  absl::Duration took;
};

// How long outcomes and finished messages are kept. All to within two parts in a hundred.
struct Retention {
  // An outcome goes when every consumer has acknowledged it, or at this age.
  absl::Duration outcomes_for = absl::Hours(72);
  // A finished message is answered for this long, and for so many of them.
  absl::Duration finished_for = absl::Hours(72);
  std::uint64_t finished_messages = 10'000'000;
  // All records together; beyond that the oldest go whoever wants them.
  std::uint64_t bytes = std::uint64_t{1} << 30;
};

// Told when outcomes were recorded. On the spool's writer thread: only hand over.
class OutcomeListener {
 public:
  virtual ~OutcomeListener() = default;
  virtual void OnOutcomes() = 0;
};

class OutcomeSource {
 public:
  static constexpr std::size_t kMaxConsumers = 256;
  // Of those of one owner. A name with a NUL has an owner: what stands before it.
  static constexpr std::size_t kMaxConsumersOfOwner = 32;

  struct Range {
    std::uint64_t log = 0;     // identity of this series of numbers; another spool has another
    std::uint64_t oldest = 1;  // the first that is kept
    std::uint64_t head = 0;    // the last that was recorded
  };

  virtual ~OutcomeSource() = default;
  virtual Range OutcomeRange() const = 0;
  // Records with outcomes behind `after`, in order, until `max_outcomes` or `max_bytes` are
  // reached; at least one record if there is any. The first may begin at or before `after`.
  // A record that cannot be read is counted and left out: a hole in the numbers. So is what was
  // dropped. None: there is nothing to be read up to the head there was. UNAVAILABLE as Spool's
  // reading calls; DATA_LOSS: nothing behind the damage can be read either.
  virtual absl::StatusOr<std::vector<OutcomeRecord>> ReadOutcomes(std::uint64_t after,
                                                                  std::size_t max_outcomes,
                                                                  std::size_t max_bytes) const = 0;
  // What a consumer has acknowledged; nullopt: no such consumer.
  virtual std::optional<std::uint64_t> ConsumerCursor(const std::string& consumer) const = 0;
  // Makes `upto` the consumer's cursor, and the consumer known. Durable with the next batch: after
  // a crash of the machine an older cursor may stand. RESOURCE_EXHAUSTED: the name is new, and
  // there are kMaxConsumers, or its owner has kMaxConsumersOfOwner, those on their way counted.
  virtual absl::Status SetConsumerCursor(const std::string& consumer, std::uint64_t upto) = 0;
  // Tells `listener` of every batch with outcomes from now on, until it is gone.
  virtual void AddOutcomeListener(std::weak_ptr<OutcomeListener> listener) = 0;
};

}  // namespace postern::spool

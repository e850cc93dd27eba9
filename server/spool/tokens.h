// Tokens: the records that make a submission one and the same (column family `tokens`), and
// TokenDesk, which gives each Store with a token its turn.
#pragma once

#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/spool/database.h"
#include "server/spool/spool.h"
#include "server/spool/spool_metrics.h"
#include "server/spool/write_queue.h"

namespace postern::spool {

// --- The records; FORMAT.md is the page. Thread: any ---

std::string TokenKey(const TokenClaim& claim);
// REQUIRES: `rows` is not empty.
std::string EncodeToken(const TokenClaim& claim, const std::vector<mail::Row>& rows,
                        absl::Time now);
// When the token was claimed; the infinite future if that cannot be read (it is kept).
absl::Time TokenTime(absl::string_view value);
// What the holder of the record `mine` is told where `known` stands: the message of then, or
// ALREADY_EXISTS naming it. DATA_LOSS: `known` cannot be read, so nothing may be promised.
absl::StatusOr<std::optional<StoredMessage>> AnswerFor(absl::string_view mine,
                                                       absl::string_view known);

// --- The writer's side ---

class TokenDesk {
 public:
  // `metrics` must outlive the desk.
  TokenDesk(absl::Duration ttl, SpoolMetrics& metrics) : ttl_(ttl), metrics_(metrics) {}

  // A new write begins: nothing is claimed in it yet.
  void Begin() { claimed_.clear(); }
  // False if a submission stands under the op's token, in the database or ahead in this write:
  // op.token->known says which, and the op is not to be written. A record that cannot be read is
  // counted, and counts for nothing: to refuse its token for ever would hold that mail up, and
  // nothing says when it ends. UNAVAILABLE: cannot be known.
  absl::StatusOr<bool> Check(Database& database, WriteOp& op, absl::Time now);
  // The op is part of this write: its token is claimed.
  void Claim(const WriteOp& op);

 private:
  const absl::Duration ttl_;
  SpoolMetrics& metrics_;
  absl::flat_hash_map<std::string, std::string> claimed_;  // key -> value, of this write
};

}  // namespace postern::spool

#include "server/spool/outcome_seek.h"

#include "server/spool/outcome_codec.h"
#include "server/spool/reading.h"
#include "server/spool/wire.h"

namespace postern::spool {
namespace {

// Further than that there are no numbers.
constexpr int kMostSteps = 48;

}  // namespace

std::unique_ptr<rocksdb::Iterator> OutcomesFrom(Database& database,
                                                const rocksdb::ReadOptions& options,
                                                std::uint64_t sequence) {
  const auto make = [&] {
    return std::unique_ptr<rocksdb::Iterator>(
        database.db().NewIterator(options, database.outcomes()));
  };
  std::unique_ptr<rocksdb::Iterator> at = make();
  at->SeekForPrev(OutcomeKey(sequence));
  if (at->Valid() && BigEndian(ToView(at->key())) + OutcomeCount(ToView(at->value())) > sequence) {
    return at;
  }
  if (!at->status().ok()) at = make();
  at->Seek(OutcomeKey(sequence));
  return at;
}

std::uint64_t FirstReadable(Database& database, std::uint64_t from) {
  const auto readable = [&database](std::uint64_t sequence) {
    const std::unique_ptr<rocksdb::Iterator> at(
        database.db().NewIterator(rocksdb::ReadOptions(), database.outcomes()));
    at->Seek(OutcomeKey(sequence));
    return at->status().ok();
  };
  // What is damaged is a stretch, a block or a file: its end lies between one number that cannot
  // be read and one that can.
  std::uint64_t bad = from;
  std::uint64_t good = 0;
  for (int step = 0; good == 0; ++step) {
    if (step == kMostSteps) return 0;
    const std::uint64_t probe = from + (std::uint64_t{1} << step);
    (readable(probe) ? good : bad) = probe;
  }
  while (good - bad > 1) {
    const std::uint64_t middle = bad + (good - bad) / 2;
    (readable(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace postern::spool

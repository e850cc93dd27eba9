// Finding one's way in the column family `outcomes`, over holes and damage. Thread: any.
#pragma once

#include <rocksdb/iterator.h>

#include <cstdint>
#include <memory>

#include "server/spool/database.h"

namespace postern::spool {

// RocksDB 7.8 forgets damage when it seeks once more in the same block, and says that nothing is
// there: an iterator that has met damage is of no use any more.

// An iterator at the record that holds the outcome `sequence`, or at the first one behind it.
std::unique_ptr<rocksdb::Iterator> OutcomesFrom(Database& database,
                                                const rocksdb::ReadOptions& options,
                                                std::uint64_t sequence);

// `from` cannot be read (Corruption): where reading can go on, the first number above it; about 100
// attempts at the most. 0: nowhere.
std::uint64_t FirstReadable(Database& database, std::uint64_t from);

}  // namespace postern::spool

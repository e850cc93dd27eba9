// Batch: operations as one RocksDB write, and the discipline of SingleDelete.
//
// Invariant: a key of `content` is Put once and then SingleDeleted at most once, whatever fails in
// between. So a deletion that may already have happened (its write failed, nobody knows how far)
// is repeated only if the content is still there.
#pragma once

#include <rocksdb/write_batch.h>

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "server/spool/database.h"
#include "server/spool/record_codec.h"
#include "server/spool/write_queue.h"

namespace postern::spool {

// The attempt marks that are in the spool, so that a row's record deletes only a mark that exists.
// Thread: the writer's.
class MarkSet {
 public:
  // Notes what `op` does to the marks, and in op.marks which of them it deletes. Once for each
  // operation, in order; the result stays true however often the operation is then written.
  void Admit(WriteOp& op);

 private:
  bool Take(const base::Id& id, std::uint16_t index) { return marks_.erase(RowKey(id, index)) > 0; }

  absl::flat_hash_set<RowKey> marks_;
};

// Collects one write. Thread: the writer's.
class Batch {
 public:
  explicit Batch(std::uint64_t epoch);

  void Clear();
  void Add(Database& database, const WriteOp& op);
  // Undoes a Store that was answered with an error, if it was written all the same. `token`: the
  // key of its token, or empty.
  void Retract(Database& database, const base::Id& message_id, int row_count,
               const std::string& token);
  // A record of the column family `books`. It rides: it does not ask for a sync.
  void PutBook(Database& database, absl::string_view key, absl::string_view value);
  void DeleteBook(Database& database, absl::string_view key);
  // Drops the outcomes from `first` up to, not including, `end`. Synced: their files go at once,
  // and a floor that was lost with the power would let numbers go back.
  void DropOutcomes(Database& database, std::uint64_t first, std::uint64_t end);
  // Something to write when there is nothing: to learn whether the disk takes it.
  void AddProbe();

  bool empty() const { return ops_ == 0; }
  int ops() const { return ops_; }
  bool sync() const { return sync_; }
  std::size_t bytes() const { return batch_.GetDataSize(); }
  rocksdb::Status Write(Database& database);

 private:
  void AddStore(Database& database, const WriteOp& op);
  void AddUpdate(Database& database, const WriteOp& op);
  void AddRemove(Database& database, const WriteOp& op);
  void AddOutcomes(Database& database, const WriteOp& op);
  void DeleteMarks(Database& database, const WriteOp& op);
  void DeleteContent(Database& database, const base::Id& id, bool check);

  const std::string mark_;  // the value of every mark of this process
  rocksdb::WriteBatch batch_;
  int ops_ = 0;
  bool sync_ = false;
};

}  // namespace postern::spool

#include "server/spool/batch.h"

#include <algorithm>
#include <string>

#include "server/base/check.h"
#include "server/spool/outcome_codec.h"
#include "server/spool/reading.h"

namespace postern::spool {
namespace {

constexpr std::size_t kKeptBytes = std::size_t{16} << 20;
constexpr std::size_t kProbeBytes = 4096;

rocksdb::Slice ContentKey(const base::Id& id) { return ToSlice(id.AsKey()); }

// A batch in memory refuses nothing but sizes beyond 4 GiB, which the queue's bounds exclude.
void Must(const rocksdb::Status& status) { POSTERN_CHECK(status.ok()); }

}  // namespace

void MarkSet::Admit(WriteOp& op) {
  switch (op.kind) {
    case WriteOp::Kind::kStore:
    case WriteOp::Kind::kNote:
    case WriteOp::Kind::kConsumer:
      break;
    case WriteOp::Kind::kMark:
    case WriteOp::Kind::kAdoptMark:
      marks_.insert(RowKey(op.message_id, op.index));
      break;
    case WriteOp::Kind::kUpdate:
      if (Take(op.message_id, op.index)) op.marks.push_back(op.index);
      break;
    case WriteOp::Kind::kRemove:
      for (int i = 0; i < op.row_count && !marks_.empty(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        if (Take(op.message_id, index)) op.marks.push_back(index);
      }
      break;
  }
}

Batch::Batch(std::uint64_t epoch) : mark_(EncodeMark(epoch)) {}

void Batch::Clear() {
  // Clearing keeps the room of the largest write; one message of 50 MiB must not cost it for ever.
  if (batch_.GetDataSize() > kKeptBytes) {
    batch_ = rocksdb::WriteBatch();
  } else {
    batch_.Clear();
  }
  ops_ = 0;
  sync_ = false;
}

void Batch::Add(Database& database, const WriteOp& op) {
  switch (op.kind) {
    case WriteOp::Kind::kStore:
      AddStore(database, op);
      break;
    case WriteOp::Kind::kUpdate:
      AddUpdate(database, op);
      break;
    case WriteOp::Kind::kRemove:
      AddRemove(database, op);
      break;
    case WriteOp::Kind::kMark:
      Must(batch_.Put(database.state(), ToSlice(RowKey(op.message_id, op.index).mark()),
                      op.content.empty() ? mark_ : mark_ + op.content));
      break;
    case WriteOp::Kind::kNote:
      Must(op.content.empty() ? batch_.Delete(database.notes(), op.key)
                              : batch_.Put(database.notes(), op.key, op.content));
      break;
    case WriteOp::Kind::kConsumer:  // what is written is the book's to say
    case WriteOp::Kind::kAdoptMark:
      return;
  }
  ++ops_;
  // Only a mark may wait for another's sync.
  if (op.kind != WriteOp::Kind::kMark) sync_ = true;
}

void Batch::AddStore(Database& database, const WriteOp& op) {
  // A Store is never written twice: a failed one is answered, not repeated.
  POSTERN_CHECK(!op.tried);
  Must(batch_.Put(database.content(), ContentKey(op.message_id), op.content));
  for (std::size_t i = 0; i < op.rows.size(); ++i) {
    const RowKey key(op.message_id, static_cast<std::uint16_t>(i));
    Must(batch_.Put(database.state(), ToSlice(key.row()), op.rows[i]));
  }
  if (op.token != nullptr) Must(batch_.Put(database.tokens(), op.token->key, op.token->value));
}

void Batch::AddUpdate(Database& database, const WriteOp& op) {
  const RowKey key(op.message_id, op.index);
  Must(batch_.Put(database.state(), ToSlice(key.row()), op.rows.front()));
  DeleteMarks(database, op);
  AddOutcomes(database, op);
}

void Batch::AddOutcomes(Database& database, const WriteOp& op) {
  if (op.outcomes == 0) return;
  Must(batch_.Put(database.outcomes(), OutcomeKey(op.sequence), op.content));
  Must(batch_.Put(database.history(), HistoryKey(op.message_id, op.index, op.sequence), {}));
}

void Batch::AddRemove(Database& database, const WriteOp& op) {
  for (int i = 0; i < op.row_count; ++i) {
    const auto index = static_cast<std::uint16_t>(i);
    if (std::find(op.set_aside.begin(), op.set_aside.end(), index) != op.set_aside.end()) continue;
    Must(batch_.Delete(database.state(), ToSlice(RowKey(op.message_id, index).row())));
  }
  DeleteMarks(database, op);
  AddOutcomes(database, op);
  // A row that was set aside may be read by a later version: it keeps its content.
  if (op.set_aside.empty()) DeleteContent(database, op.message_id, op.tried);
}

void Batch::DeleteMarks(Database& database, const WriteOp& op) {
  for (const std::uint16_t index : op.marks) {
    Must(batch_.Delete(database.state(), ToSlice(RowKey(op.message_id, index).mark())));
  }
}

void Batch::DeleteContent(Database& database, const base::Id& id, bool check) {
  if (check) {
    rocksdb::PinnableSlice value;
    const rocksdb::Status status =
        database.db().Get(rocksdb::ReadOptions(), database.content(), ContentKey(id), &value);
    if (status.IsNotFound()) return;
  }
  Must(batch_.SingleDelete(database.content(), ContentKey(id)));
}

void Batch::PutBook(Database& database, absl::string_view key, absl::string_view value) {
  Must(batch_.Put(database.books(), ToSlice(key), ToSlice(value)));
  ++ops_;
}

void Batch::DeleteBook(Database& database, absl::string_view key) {
  Must(batch_.Delete(database.books(), ToSlice(key)));
  ++ops_;
}

void Batch::DropOutcomes(Database& database, std::uint64_t first, std::uint64_t end) {
  Must(batch_.DeleteRange(database.outcomes(), OutcomeKey(first), OutcomeKey(end)));
  ++ops_;
  sync_ = true;
}

void Batch::Retract(Database& database, const base::Id& message_id, int row_count,
                    const std::string& token) {
  for (int i = 0; i < row_count; ++i) {
    const RowKey key(message_id, static_cast<std::uint16_t>(i));
    Must(batch_.Delete(database.state(), ToSlice(key.row())));
  }
  DeleteContent(database, message_id, /*check=*/true);
  if (!token.empty()) Must(batch_.Delete(database.tokens(), token));
  ++ops_;
  sync_ = true;
}

void Batch::AddProbe() {
  Must(batch_.PutLogData(std::string(kProbeBytes, '\0')));
  ++ops_;
  sync_ = true;
}

rocksdb::Status Batch::Write(Database& database) {
  rocksdb::WriteOptions options;
  options.sync = sync_;
  return database.db().Write(options, &batch_);
}

}  // namespace postern::spool

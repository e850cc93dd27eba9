#include "server/spool/rocks_spool.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/check.h"
#include "server/spool/database.h"
#include "server/spool/outcome_book.h"
#include "server/spool/outcome_codec.h"
#include "server/spool/reading.h"
#include "server/spool/record_codec.h"
#include "server/spool/set_aside.h"
#include "server/spool/spool_metrics.h"
#include "server/spool/tokens.h"
#include "server/spool/write_queue.h"
#include "server/spool/writer.h"

namespace postern::spool {
namespace {

void AddOutcomes(const mail::Row& row, const AttemptRef& attempt, WriteOp& op) {
  EncodedOutcome outcome = EncodeOutcome(row, absl::Now(), attempt);
  op.outcomes = outcome.count;
  op.content = std::move(outcome.value);
}

}  // namespace

RocksSpool::RocksSpool(const Options& options)
    : epoch_(base::RandomUint64()),
      own_registry_(options.registry == nullptr ? std::make_unique<base::Registry>() : nullptr),
      metrics_(std::make_unique<SpoolMetrics>(options.registry == nullptr ? *own_registry_
                                                                          : *options.registry)),
      set_aside_(std::make_unique<SetAside>(metrics_->records_set_aside)),
      expiry_(std::make_shared<Expiry>()),
      book_(std::make_unique<OutcomeBook>(options.retention, expiry_, *metrics_)),
      holder_(std::make_unique<DatabaseHolder>()),
      queue_(std::make_unique<WriteQueue>()) {
  expiry_->token_ttl = options.token_ttl;
}

RocksSpool::~RocksSpool() = default;

absl::StatusOr<std::unique_ptr<RocksSpool>> RocksSpool::Open(Options options) {
  std::unique_ptr<RocksSpool> spool(new RocksSpool(options));
  absl::StatusOr<std::shared_ptr<Database>> database =
      Database::Open(options.directory, spool->expiry_, *spool->metrics_);
  if (!database.ok()) return database.status();
  if (absl::Status status = spool->book_->Load(**database, absl::Now()); !status.ok()) {
    return status;
  }
  spool->holder_->Set(*std::move(database));
  Writer::Options writer{std::move(options.directory), options.min_free_bytes,
                         options.retry_interval, spool->epoch_, spool->expiry_};
  spool->writer_ = std::make_unique<Writer>(std::move(writer), *spool->queue_, *spool->holder_,
                                            *spool->book_, *spool->metrics_);
  return spool;
}

WriteOp RocksSpool::MakeStore(std::string content, const std::vector<mail::Row>& rows) const {
  POSTERN_CHECK(!rows.empty());
  WriteOp op = MakeOp(WriteOp::Kind::kStore, rows.front().message_id);
  op.row_count = static_cast<int>(rows.size());
  op.content = std::move(content);
  op.rows.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    POSTERN_CHECK(rows[i].index == i && rows[i].message_id == op.message_id);
    op.rows.push_back(EncodeRow(rows[i]));
  }
  return op;
}

void RocksSpool::Store(std::string content, const std::vector<mail::Row>& rows, Done done) {
  WriteOp op = MakeStore(std::move(content), rows);
  op.done = std::move(done);
  queue_->Push(std::move(op));
}

void RocksSpool::StoreOnce(TokenClaim claim, std::string content,
                           const std::vector<mail::Row>& rows, DoneOnce done) {
  WriteOp op = MakeStore(std::move(content), rows);
  op.token = std::make_unique<TokenWork>();
  op.token->key = TokenKey(claim);
  op.token->value = EncodeToken(claim, rows, absl::Now());
  op.token->done = std::move(done);
  queue_->Push(std::move(op));
}

void RocksSpool::Update(const mail::Row& row, const AttemptRef& attempt) {
  WriteOp op = MakeOp(WriteOp::Kind::kUpdate, row.message_id);
  op.index = row.index;
  op.rows.push_back(EncodeRow(row));
  AddOutcomes(row, attempt, op);
  queue_->Push(std::move(op));
}

void RocksSpool::Finish(const mail::Row& row, const AttemptRef& attempt) {
  POSTERN_CHECK(row.row_count == 1 && row.final());
  WriteOp op = MakeOp(WriteOp::Kind::kRemove, row.message_id);
  op.row_count = 1;
  op.set_aside = set_aside_->RowsOf(row.message_id);
  AddOutcomes(row, attempt, op);
  queue_->Push(std::move(op));
}

Ticket RocksSpool::MarkAttempt(const mail::Row& row, const std::vector<std::size_t>& offered) {
  WriteOp op = MakeOp(WriteOp::Kind::kMark, row.message_id);
  op.index = row.index;
  op.content = EncodeOffered(offered);
  return queue_->Push(std::move(op));
}

bool RocksSpool::IsWritten(Ticket ticket) const { return queue_->IsWritten(ticket); }

void RocksSpool::WhenWritten(Ticket ticket, std::function<void()> done) {
  queue_->WhenWritten(ticket, std::move(done));
}

void RocksSpool::Remove(const base::Id& message_id, int row_count) {
  WriteOp op = MakeOp(WriteOp::Kind::kRemove, message_id);
  op.row_count = row_count;
  op.set_aside = set_aside_->RowsOf(message_id);
  queue_->Push(std::move(op));
}

void RocksSpool::PutNote(std::string key, std::string value) {
  WriteOp op = MakeOp(WriteOp::Kind::kNote, base::Id{});
  op.key = std::move(key);
  op.content = std::move(value);
  queue_->Push(std::move(op));
}

absl::Status RocksSpool::ForEachNote(
    absl::string_view prefix,
    const std::function<void(const std::string& key, const std::string& value)>& each) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  const std::unique_ptr<rocksdb::Iterator> at(
      database->db().NewIterator(rocksdb::ReadOptions(), database->notes()));
  for (at->Seek(ToSlice(prefix)); at->Valid() && at->key().starts_with(ToSlice(prefix));
       at->Next()) {
    each(at->key().ToString(), at->value().ToString());
  }
  if (!at->status().ok()) return ReadError("the notes", at->status());
  return absl::OkStatus();
}

Ticket RocksSpool::Latest() const { return queue_->Latest(); }

absl::StatusOr<std::string> RocksSpool::ReadContent(const base::Id& message_id) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  rocksdb::ReadOptions options;
  options.fill_cache = false;  // a content is read about once
  std::string content;
  const rocksdb::Status status =
      database->db().Get(options, database->content(), ToSlice(message_id.AsKey()), &content);
  if (status.IsNotFound()) {
    return absl::NotFoundError(absl::StrCat("spool: no content of ", message_id.ToString()));
  }
  if (!status.ok()) return ReadError("a content", status);
  return content;
}

absl::StatusOr<std::vector<mail::Row>> RocksSpool::ReadRows(const base::Id& message_id) const {
  std::vector<mail::Row> rows;
  const absl::Status status =
      Scan(message_id.AsKey(), KeyAbove(message_id), [&rows](mail::Row row) {
        rows.push_back(std::move(row));
        return true;
      });
  if (!status.ok()) return status;
  if (rows.empty()) {
    return absl::NotFoundError(absl::StrCat("spool: no rows of ", message_id.ToString()));
  }
  return rows;
}

absl::Status RocksSpool::ForEachRow(const base::Id& after,
                                    const std::function<bool(mail::Row)>& each) const {
  const std::string start = KeyAbove(after);
  if (start.empty()) return absl::OkStatus();
  return Scan(start, {}, each);
}

absl::Status RocksSpool::Scan(absl::string_view start, absl::string_view end,
                              const std::function<bool(mail::Row)>& each) const {
  const std::shared_ptr<Database> database = holder_->Get();
  if (database == nullptr) return Reopening();
  const rocksdb::Slice bound = ToSlice(end);
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  if (!end.empty()) options.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> at(
      database->db().NewIterator(options, database->state()));
  PairInterner pairs;
  at->Seek(ToSlice(start));
  while (at->Valid()) {
    const std::string key = at->key().ToString();
    if (key.size() == kMarkKeyBytes) {  // its row is gone or was set aside
      at->Next();
      continue;
    }
    absl::StatusOr<mail::Row> row = DecodeRow(key, ToView(at->value()), &pairs);
    at->Next();
    if (!row.ok()) {
      set_aside_->Add(key, row.status());
      continue;
    }
    const RowKey row_key(row->message_id, row->index);
    if (at->Valid() && ToView(at->key()) == row_key.mark()) {
      if (!MarkIsOf(ToView(at->value()), epoch_)) {
        row->Doubt(OfferedOf(ToView(at->value())));
        WriteOp op = MakeOp(WriteOp::Kind::kAdoptMark, row->message_id);
        op.index = row->index;
        queue_->Push(std::move(op));
      }
      at->Next();
    }
    if (!each(*std::move(row))) break;
  }
  if (!at->status().ok()) return ReadError("the rows", at->status());
  return absl::OkStatus();
}

bool RocksSpool::healthy() const { return writer_->healthy(); }

RocksSpool::WriteCounts RocksSpool::counts() const {
  return {metrics_->batches.value(), metrics_->syncs.value()};
}

}  // namespace postern::spool

#include "server/spool/writer.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/disk.h"
#include "server/base/log.h"

namespace postern::spool {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
constexpr std::size_t kBatchOps = 1024;
constexpr absl::Duration kSpaceInterval = absl::Milliseconds(100);
// Beyond what is to be flushed: a manifest, a log, the operations that wait.
constexpr std::uint64_t kReopenBytes = std::uint64_t{2} << 20;
constexpr absl::Duration kTellInterval = absl::Minutes(1);
constexpr int kLongestPause = 16;  // retry intervals

absl::Status ToFailure(const std::string& directory, const rocksdb::Status& status) {
  const std::string text =
      absl::StrCat("spool ", directory, ": cannot be written: ", status.ToString());
  return status.IsNoSpace() ? absl::ResourceExhaustedError(text) : absl::UnavailableError(text);
}

std::string Text(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

}  // namespace

Writer::Writer(Options options, WriteQueue& queue, DatabaseHolder& holder, OutcomeBook& book,
               SpoolMetrics& metrics)
    : options_(std::move(options)),
      queue_(queue),
      holder_(holder),
      book_(book),
      metrics_(metrics),
      tokens_(options_.expiry->token_ttl, metrics_),
      batch_(options_.epoch) {
  metrics_.healthy.Set(1);
  thread_ = std::thread([this] { Run(); });
}

Writer::~Writer() {
  queue_.Stop();
  thread_.join();
}

void Writer::Run() {
  bool running = true;
  while (running || !work_.empty() || !retractions_.empty()) {
    absl::Duration patience = work_.empty() ? book_.patience() : absl::ZeroDuration();
    if (!healthy()) patience = next_try_ - clock_.Steady();
    const std::size_t before = work_.size();
    running = queue_.Collect(patience, work_);
    for (std::size_t i = before; i < work_.size(); ++i) {
      marks_.Admit(work_[i]);
      book_.Admit(work_[i]);
    }

    if (healthy()) {
      if (!work_.empty() || book_.Due(clock_.Now())) Commit();
    } else {
      RefuseStores();
      if (!running || clock_.Steady() >= next_try_) {
        if (!Recover() && !running) GiveUp();
      }
    }
    Reply();
  }
}

std::size_t Writer::Choose() const {
  std::size_t count = 0;
  std::size_t bytes = 0;
  while (count < work_.size() && count < kBatchOps && bytes < kBatchBytes) {
    bytes += work_[count++].bytes();
  }
  return count;
}

void Writer::Fill(Database& database, std::size_t count) {
  batch_.Clear();
  tokens_.Begin();
  book_.Begin();
  const absl::Time now = clock_.Now();
  for (const Refused& refused : retractions_) {
    batch_.Retract(database, refused.message_id, refused.row_count, refused.token);
  }
  for (std::size_t i = 0; i < count; ++i) {
    WriteOp& op = work_[i];
    if (op.kind == WriteOp::Kind::kStore && !Admit(database, op)) continue;
    batch_.Add(database, op);
    book_.Add(op, now);
  }
  book_.Write(database, batch_);
  if (!healthy() && batch_.empty()) batch_.AddProbe();
}

bool Writer::Admit(Database& database, WriteOp& op) {
  if (op.token != nullptr) {
    const absl::StatusOr<bool> free = tokens_.Check(database, op, clock_.Now());
    if (!free.ok()) Refuse(op, free.status());
    if (!free.ok() || !*free) return false;
  }
  if (absl::Status space = CheckSpace(op.bytes()); !space.ok()) {
    Refuse(op, space);
    return false;
  }
  if (op.token != nullptr) tokens_.Claim(op);
  return true;
}

bool Writer::Commit() {
  const std::shared_ptr<Database> database = holder_.Get();
  const std::size_t count = Choose();
  Fill(*database, count);
  if (!batch_.empty()) {
    const absl::Time start = clock_.Steady();
    const rocksdb::Status status = batch_.Write(*database);
    if (!status.ok()) {
      Fail(status, count);
      return false;
    }
    metrics_.commit_seconds.Observe(clock_.Steady() - start);
    metrics_.batch_size.Observe(static_cast<double>(batch_.ops()));
    metrics_.bytes_written.Add(batch_.bytes());
    metrics_.batches.Add();
    if (batch_.sync()) metrics_.syncs.Add();
  }
  book_.Committed(*database, clock_.Now());
  Finish(count);
  return true;
}

void Writer::Finish(std::size_t count) {
  retractions_.clear();
  if (!healthy()) {
    base::Log().warn("spool {}: takes writes again", options_.directory);
    metrics_.healthy.Set(1);
    healthy_.store(true, std::memory_order_release);
  }
  if (count == 0) return;
  const Ticket last = work_[count - 1].ticket;
  for (std::size_t i = 0; i < count; ++i) {
    WriteOp& op = work_.front();
    if (!op.answered) {
      Count(op);
      if (op.kind == WriteOp::Kind::kStore) Answer(op);
    }
    work_.pop_front();
  }
  queue_.SetWritten(last);
}

void Writer::Count(const WriteOp& op) {
  switch (op.kind) {
    case WriteOp::Kind::kStore:
      if (op.token == nullptr || op.token->known.empty()) metrics_.stores.Add();
      break;
    case WriteOp::Kind::kUpdate:
      metrics_.updates.Add();
      break;
    case WriteOp::Kind::kMark:
      metrics_.marks.Add();
      break;
    case WriteOp::Kind::kRemove:
      metrics_.removes.Add();
      break;
    case WriteOp::Kind::kNote:
    case WriteOp::Kind::kConsumer:
    case WriteOp::Kind::kAdoptMark:
      break;
  }
}

void Writer::Answer(WriteOp& op) {
  if (op.token == nullptr) {
    answers_.push_back({std::move(op.done), absl::OkStatus()});
  } else if (op.token->known.empty()) {
    once_answers_.push_back({std::move(op.token->done), std::nullopt});
  } else {
    metrics_.duplicates.Add();
    once_answers_.push_back(
        {std::move(op.token->done), AnswerFor(op.token->value, op.token->known)});
  }
}

void Writer::Refuse(WriteOp& op, const absl::Status& status) {
  op.answered = true;
  metrics_.stores_refused.Add();
  if (op.token == nullptr) {
    answers_.push_back({std::move(op.done), status});
  } else {
    once_answers_.push_back({std::move(op.token->done), status});
  }
}

void Writer::LookAtSpace() {
  const std::optional<std::uint64_t> free = base::FreeBytes(options_.directory);
  // If it cannot be known, the write will tell.
  if (!free.has_value()) {
    free_bytes_ = std::numeric_limits<std::uint64_t>::max();
    return;
  }
  space_checked_ = clock_.Steady();
  free_bytes_ = *free;
  metrics_.free_bytes.Set(static_cast<std::int64_t>(free_bytes_));
}

absl::Status Writer::CheckSpace(std::uint64_t bytes) {
  if (clock_.Steady() - space_checked_ >= kSpaceInterval) LookAtSpace();
  if (options_.min_free_bytes == 0) return absl::OkStatus();
  if (free_bytes_ < options_.min_free_bytes + bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("disk: spool ", options_.directory, ": ", free_bytes_, " bytes are free, ",
                     options_.min_free_bytes, " are kept (server.spool_reserve_bytes)"));
  }
  free_bytes_ -= bytes;
  return absl::OkStatus();
}

void Writer::Fail(const rocksdb::Status& status, std::size_t count) {
  metrics_.write_errors.Add();
  failure_ = ToFailure(options_.directory, status);
  if (healthy()) {
    base::Log().error("{}; no mail is accepted or begun until it can", Text(failure_));
    metrics_.healthy.Set(0);
    healthy_.store(false, std::memory_order_release);
    pause_ = options_.retry_interval;
  }
  for (std::size_t i = 0; i < count; ++i) {
    WriteOp& op = work_[i];
    op.tried = true;
    // Answered "not stored": if a part of the write did reach the disk, it must go again.
    const bool written = op.token == nullptr || op.token->known.empty();
    if (op.kind == WriteOp::Kind::kStore && !op.answered && written) {
      retractions_.push_back(
          {op.message_id, op.row_count, op.token == nullptr ? "" : op.token->key});
    }
  }
  RefuseStores();
  next_try_ = clock_.Steady() + options_.retry_interval;
}

void Writer::RefuseStores() {
  for (WriteOp& op : work_) {
    if (op.kind == WriteOp::Kind::kStore && !op.answered) Refuse(op, failure_);
  }
  work_.erase(
      std::remove_if(work_.begin(), work_.end(), [](const WriteOp& op) { return op.answered; }),
      work_.end());
}

bool Writer::MayReopen() {
  const std::shared_ptr<Database> database = holder_.Get();
  if (database == nullptr || !absl::IsResourceExhausted(failure_)) return true;
  LookAtSpace();
  const std::uint64_t needed = database->UnflushedBytes() + kReopenBytes;
  if (free_bytes_ >= needed) return true;
  if (clock_.Steady() - space_told_ >= kTellInterval) {
    space_told_ = clock_.Steady();
    base::Log().error("spool {}: {} bytes are free, {} are needed to go on", options_.directory,
                      free_bytes_, needed);
  }
  return false;
}

bool Writer::Recover() {
  next_try_ = clock_.Steady() + options_.retry_interval;
  if (!MayReopen()) return false;
  if (Reopen() && Commit()) return true;
  pause_ = std::min(2 * pause_, kLongestPause * options_.retry_interval);
  next_try_ = clock_.Steady() + pause_;
  return false;
}

bool Writer::Reopen() {
  if (std::shared_ptr<Database> old = holder_.Get(); old != nullptr) {
    base::Log().warn("spool {}: is closed and opened again to recover", options_.directory);
    closing_ = old;
    holder_.Set(nullptr);
  }
  if (!closing_.expired()) return false;  // a reader is not done
  absl::StatusOr<std::shared_ptr<Database>> opened =
      Database::Open(options_.directory, options_.expiry, metrics_);
  if (!opened.ok()) {
    if (opened.status() != failure_) base::Log().error("{}", Text(opened.status()));
    failure_ = opened.status();
    return false;
  }
  holder_.Set(*std::move(opened));
  metrics_.reopens.Add();
  return true;
}

void Writer::GiveUp() {
  if (!work_.empty()) {
    base::Log().error(
        "spool {}: closed with {} records that could not be written: their messages will be "
        "attempted again",
        options_.directory, work_.size());
  }
  work_.clear();
  retractions_.clear();
}

void Writer::Reply() {
  std::vector<StoreAnswer> answers;
  answers.swap(answers_);
  for (StoreAnswer& answer : answers) {
    if (answer.done) answer.done(std::move(answer.status));
  }
  std::vector<OnceAnswer> once_answers;
  once_answers.swap(once_answers_);
  for (OnceAnswer& answer : once_answers) answer.done(std::move(answer.result));
  // Keeps its room for the next write.
  answers.clear();
  if (answers_.empty()) answers_.swap(answers);
}

}  // namespace postern::spool

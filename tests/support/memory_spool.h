// MemorySpool: the spool seam in memory, for tests of those who use it. What it is told to do
// happens at once, callbacks included, on the caller's thread, unless it is told to hold or to
// fail.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/check.h"
#include "server/base/mutex.h"
#include "server/spool/spool.h"

namespace postern::testing {

// Thread: any. Callbacks are called without a lock held.
class MemorySpool final : public spool::Spool {
 public:
  // --- What the test does to it ---

  // Every Store from now on is answered with this (OK: works again).
  void FailStores(absl::Status status) {
    base::MutexLock lock(mu_);
    store_status_ = std::move(status);
  }
  void SetHealthy(bool healthy) {
    base::MutexLock lock(mu_);
    healthy_ = healthy;
  }
  // True: nothing is written (nor answered) until it is false again, as with a slow disk.
  void Hold(bool hold) {
    {
      base::MutexLock lock(mu_);
      hold_ = hold;
    }
    Flush();
  }
  // As if the process had died and another had opened the spool: what was held is lost, and the
  // marks that were written leave their rows in doubt.
  void Restart() {
    base::MutexLock lock(mu_);
    held_.clear();
    waiters_.clear();
    for (auto& [key, stored] : rows_)
      stored.doubt = stored.doubt || std::exchange(stored.mark, false);
  }
  // As if the row's record could not be read any more.
  void SetAside(const base::Id& id, std::uint16_t index) {
    base::MutexLock lock(mu_);
    rows_.erase({id, index});
  }
  std::size_t row_count() const {
    base::MutexLock lock(mu_);
    return rows_.size();
  }
  std::size_t content_count() const {
    base::MutexLock lock(mu_);
    return contents_.size();
  }
  bool marked(const base::Id& id, std::uint16_t index) const {
    base::MutexLock lock(mu_);
    const auto found = rows_.find({id, index});
    return found != rows_.end() && found->second.mark;
  }

  // --- The seam ---

  void Store(std::string content, const std::vector<mail::Row>& rows, Done done) override {
    Do([this, content = std::move(content), rows, done = std::move(done)]() -> After {
      absl::Status status = store_status_;
      if (status.ok()) {
        contents_[rows.front().message_id] = content;
        for (const mail::Row& row : rows) rows_[{row.message_id, row.index}] = {row, false, false};
      }
      return [done, status = std::move(status)] { done(status); };
    });
  }
  void StoreOnce(spool::TokenClaim claim, std::string content, const std::vector<mail::Row>& rows,
                 DoneOnce done) override {
    Do([this, claim = std::move(claim), content = std::move(content), rows,
        done = std::move(done)]() -> After {
      const auto found = tokens_.find(claim.identity + '\n' + claim.token);
      if (found != tokens_.end() && found->second.first == claim.content) {
        return [done, first = found->second.second] { done(first); };
      }
      absl::Status status = store_status_;
      if (found != tokens_.end()) status = absl::AlreadyExistsError("token: other content");
      if (!status.ok()) return [done, status] { done(status); };
      spool::StoredMessage& stored = Claim(claim, rows.front().message_id);
      contents_[stored.message_id] = content;
      for (const mail::Row& row : rows) {
        stored.rows.push_back({*row.pair, static_cast<std::uint32_t>(row.recipients.size())});
        rows_[{row.message_id, row.index}] = {row, false, false};
      }
      return [done] { done(std::nullopt); };
    });
  }
  void Update(const mail::Row& row, const spool::AttemptRef& attempt) override {
    Do([this, row, took = attempt.took]() -> After {
      rows_[{row.message_id, row.index}] = {row, false, false};
      Record(row, took);
      return nullptr;
    });
  }
  void Finish(const mail::Row& row, const spool::AttemptRef& attempt) override {
    POSTERN_CHECK(row.row_count == 1 && row.final());
    Do([this, row, took = attempt.took]() -> After {
      Record(row, took);
      rows_.erase({row.message_id, row.index});
      contents_.erase(row.message_id);
      return nullptr;
    });
  }
  spool::Ticket MarkAttempt(const mail::Row& row,
                            const std::vector<std::size_t>& offered) override {
    return Do([this, id = row.message_id, index = row.index, offered]() -> After {
      const auto found = rows_.find({id, index});
      if (found == rows_.end()) return nullptr;
      found->second.mark = true;
      found->second.offered = offered;
      return nullptr;
    });
  }
  bool IsWritten(spool::Ticket ticket) const override {
    base::MutexLock lock(mu_);
    return written_ >= ticket;
  }
  void WhenWritten(spool::Ticket ticket, std::function<void()> done) override {
    {
      base::MutexLock lock(mu_);
      if (written_ < ticket) {
        waiters_.emplace_back(ticket, std::move(done));
        return;
      }
    }
    done();
  }
  void Remove(const base::Id& message_id, int row_count) override {
    Do([this, message_id, row_count]() -> After {
      for (int i = 0; i < row_count; ++i) {
        rows_.erase({message_id, static_cast<std::uint16_t>(i)});
      }
      contents_.erase(message_id);
      return nullptr;
    });
  }
  void PutNote(std::string key, std::string value) override {
    Do([this, key = std::move(key), value = std::move(value)]() -> After {
      if (value.empty()) {
        notes_.erase(key);
      } else {
        notes_[key] = value;
      }
      return nullptr;
    });
  }
  absl::Status ForEachNote(
      absl::string_view prefix,
      const std::function<void(const std::string&, const std::string&)>& each) const override {
    std::map<std::string, std::string> notes;
    {
      base::MutexLock lock(mu_);
      notes = notes_;
    }
    const std::string begin(prefix.data(), prefix.size());
    for (auto at = notes.lower_bound(begin);
         at != notes.end() && at->first.compare(0, begin.size(), begin) == 0; ++at) {
      each(at->first, at->second);
    }
    return absl::OkStatus();
  }
  spool::Ticket Latest() const override {
    base::MutexLock lock(mu_);
    return last_;
  }
  absl::StatusOr<std::string> ReadContent(const base::Id& message_id) const override {
    base::MutexLock lock(mu_);
    const auto found = contents_.find(message_id);
    if (found == contents_.end()) return absl::NotFoundError("no such content");
    return found->second;
  }
  absl::StatusOr<std::vector<mail::Row>> ReadRows(const base::Id& message_id) const override {
    base::MutexLock lock(mu_);
    std::vector<mail::Row> rows;
    for (auto at = rows_.lower_bound({message_id, 0});
         at != rows_.end() && at->first.first == message_id; ++at) {
      rows.push_back(at->second.Read());
    }
    if (rows.empty()) return absl::NotFoundError("no such rows");
    return rows;
  }
  absl::Status ForEachRow(const base::Id& after,
                          const std::function<bool(mail::Row)>& each) const override {
    std::vector<mail::Row> rows;
    {
      base::MutexLock lock(mu_);
      for (auto at = rows_.upper_bound({after, 0xffff}); at != rows_.end(); ++at) {
        rows.push_back(at->second.Read());
      }
    }
    for (mail::Row& row : rows) {
      if (!each(std::move(row))) break;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<spool::OutcomeRecord>> ReadHistory(
      const base::Id& message_id) const override {
    base::MutexLock lock(mu_);
    std::vector<spool::OutcomeRecord> records;
    for (const spool::OutcomeRecord& record : outcomes_) {
      if (record.row.message_id == message_id) records.push_back(record);
    }
    if (records.empty()) return absl::NotFoundError("no history");
    std::stable_sort(records.begin(), records.end(),
                     [](const auto& a, const auto& b) { return a.row.index < b.row.index; });
    return records;
  }
  absl::StatusOr<std::vector<mail::Row>> ReadFinished(const base::Id& message_id) const override {
    base::MutexLock lock(mu_);
    std::vector<mail::Row> rows = FinishedRows(message_id);
    if (rows.empty()) return absl::NotFoundError("not finished");
    return rows;
  }
  absl::StatusOr<base::Id> ForEachFinished(
      const base::Id& after, std::size_t max_entries,
      const std::function<bool(std::vector<mail::Row>)>& each) const override {
    std::map<base::Id, std::vector<mail::Row>> finished;
    {
      base::MutexLock lock(mu_);
      for (const spool::OutcomeRecord& record : outcomes_) {
        const base::Id& id = record.row.message_id;
        if (id > after) finished[id] = FinishedRows(id);
      }
    }
    std::size_t entries = 0;
    for (auto& [id, rows] : finished) {
      if (!rows.empty() && !each(std::move(rows))) break;
      if (++entries == max_entries) return id;
    }
    return base::Id{};
  }
  bool healthy() const override {
    base::MutexLock lock(mu_);
    return healthy_;
  }

 private:
  using After = std::function<void()>;  // what to call once the lock is given up, or null
  struct Stored {
    mail::Row row;
    bool mark = false;
    bool doubt = false;
    std::vector<std::size_t> offered = {};
    mail::Row Read() const {
      mail::Row read = row;
      if (doubt) read.Doubt(offered);
      return read;
    }
  };

  spool::StoredMessage& Claim(const spool::TokenClaim& claim, const base::Id& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    auto& [content, stored] = tokens_[claim.identity + '\n' + claim.token];
    content = claim.content;
    stored.message_id = id;
    return stored;
  }

  void Record(const mail::Row& row, absl::Duration took) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    spool::OutcomeRecord record;
    record.sequence = outcomes_.size() + 1;
    record.row = row;
    record.took = took;
    for (std::uint32_t i = 0; i < row.recipients.size(); ++i) {
      if (row.recipients[i].unreported) record.news.push_back(i);
    }
    if (!record.news.empty()) outcomes_.push_back(std::move(record));
  }

  std::vector<mail::Row> FinishedRows(const base::Id& id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::map<std::uint16_t, mail::Row> last;
    for (const spool::OutcomeRecord& record : outcomes_) {
      if (record.row.message_id == id) last[record.row.index] = record.row;
    }
    std::vector<mail::Row> rows;
    for (auto& [index, row] : last) {
      if (row.final()) rows.push_back(std::move(row));
    }
    if (!rows.empty() && rows.size() < rows.front().row_count) rows.clear();
    return rows;
  }

  spool::Ticket Do(std::function<After()> write) {
    spool::Ticket ticket = 0;
    {
      base::MutexLock lock(mu_);
      ticket = ++last_;
      held_.emplace_back(ticket, std::move(write));
    }
    Flush();
    return ticket;
  }

  void Flush() {
    std::vector<After> due;
    {
      base::MutexLock lock(mu_);
      if (hold_) return;
      for (auto& [ticket, write] : held_) {
        if (After after = write()) due.push_back(std::move(after));
        written_ = ticket;
      }
      held_.clear();
      std::vector<std::pair<spool::Ticket, After>> later;
      for (auto& waiter : waiters_) {
        if (waiter.first <= written_) {
          due.push_back(std::move(waiter.second));
        } else {
          later.push_back(std::move(waiter));
        }
      }
      waiters_ = std::move(later);
    }
    for (const After& after : due) after();
  }

  mutable base::Mutex mu_;
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  bool healthy_ ABSL_GUARDED_BY(mu_) = true;
  absl::Status store_status_ ABSL_GUARDED_BY(mu_);
  spool::Ticket last_ ABSL_GUARDED_BY(mu_) = 0;
  spool::Ticket written_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::pair<spool::Ticket, std::function<After()>>> held_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<spool::Ticket, After>> waiters_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> notes_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::pair<base::Digest, spool::StoredMessage>> tokens_ ABSL_GUARDED_BY(mu_);
  std::vector<spool::OutcomeRecord> outcomes_ ABSL_GUARDED_BY(mu_);
  std::map<base::Id, std::string> contents_ ABSL_GUARDED_BY(mu_);
  std::map<std::pair<base::Id, std::uint16_t>, Stored> rows_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::testing

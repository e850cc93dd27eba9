// What an operator does to the rows of one pair, and of many.
#include <atomic>
#include <chrono>
#include <thread>

#include "server/delivery/pair.h"
#include "server/delivery/scheduler.h"
#include "server/queue/message_record.h"
#include "tests/unit/delivery/fixture.h"

namespace postern::delivery {
namespace {

using mail::Disposition;

// A pair whose thread is the test's.
class PairOperationsTest : public DeliveryTest {
 protected:
  PairOperationsTest()
      : scheduler_(context_, 0,
                   [this](asio::io_context&) { return std::make_unique<TestResolver>(known_); }),
        pair_(scheduler_.PairOf(
            std::make_shared<const mail::PairKey>(mail::PairKey{"own.test", "default"}))) {
    cancellation_.reply = std::make_shared<const mail::Reply>(
        mail::InternalReply(550, "5.7.0", "cancelled", mail::SmtpStage::kNone));
  }
  // One row to each of the recipients, all of one message.
  base::Id AddRows(const std::vector<std::vector<std::string>>& recipients) {
    const base::Id id = base::NewId(clock_.Now());
    const auto message = std::make_shared<queue::MessageRecord>(recipients.size());
    for (std::size_t i = 0; i < recipients.size(); ++i) {
      auto row = std::make_unique<queue::QueuedRow>();
      row->row.message_id = id;
      row->row.index = static_cast<std::uint16_t>(i);
      row->row.row_count = static_cast<std::uint16_t>(recipients.size());
      row->row.pair = pair_.key_ptr();
      row->row.created = row->row.next_attempt = clock_.Now();
      row->row.expires = absl::InfiniteFuture();
      if (recipients.size() > 1) row->message = message;
      for (const std::string& address : recipients[i]) {
        row->row.recipients.push_back(
            {address, Disposition::kQueued, nullptr, absl::InfinitePast()});
      }
      pair_.Add(std::move(row));
    }
    return id;
  }
  static mail::Row RowOf(const base::Id& id, std::uint16_t index = 0) {
    mail::Row row;
    row.message_id = id;
    row.index = index;
    return row;
  }
  // What the first recipient of the row came to; nullopt: nothing yet.
  std::optional<Disposition> Outcome(const base::Id& id, std::uint16_t index) {
    std::optional<Disposition> found;
    const auto history = spool_.ReadHistory(id);
    if (!history.ok()) return found;
    for (const auto& record : *history) {
      if (record.row.index == index) found = record.row.recipients.front().disposition;
    }
    return found;
  }
  Cancellation cancellation_;
  Scheduler scheduler_;
  Pair& pair_;
};

TEST_F(PairOperationsTest, EachRowOfAMessageIsCancelledWhenItsOwnSessionGivesItBack) {
  const base::Id id = AddRows({{"a@x.test"}, {"b@y.test"}});
  queue::RowPtr first = pair_.TakeNext();
  queue::RowPtr second = pair_.TakeNext();
  pair_.Cancel(RowOf(id, 0), cancellation_);
  pair_.Cancel(RowOf(id, 1), cancellation_);
  pair_.PutBack(std::move(first));
  EXPECT_EQ(Outcome(id, 0), Disposition::kCancelled);
  pair_.PutBack(std::move(second));
  EXPECT_EQ(Outcome(id, 1), Disposition::kCancelled);
  EXPECT_EQ(pair_.queue_depth(), 0U);
}

TEST_F(PairOperationsTest, ARowThatIsDeliveredDoesNotTakeAnothersCancellationWithIt) {
  const base::Id id = AddRows({{"a@x.test"}, {"b@y.test"}});
  queue::RowPtr first = pair_.TakeNext();
  queue::RowPtr second = pair_.TakeNext();
  pair_.Cancel(RowOf(id, 0), cancellation_);
  pair_.Cancel(RowOf(id, 1), cancellation_);
  first->row.recipients.front().disposition = Disposition::kDelivered;
  first->row.recipients.front().unreported = true;
  pair_.Finish(std::move(first), {});
  EXPECT_EQ(Outcome(id, 0), Disposition::kDelivered);
  pair_.PutBack(std::move(second));
  EXPECT_EQ(Outcome(id, 1), Disposition::kCancelled);
}

TEST_F(PairOperationsTest, ACancelledRecipientDoesNotCostTheOthersTheirPlace) {
  const base::Id id = AddRows({{"a@own.test", "b@own.test"}});
  AddRows({{"c@own.test"}});
  cancellation_.recipients = {"a@own.test"};
  pair_.Cancel(RowOf(id), cancellation_);
  EXPECT_EQ(Outcome(id, 0), Disposition::kCancelled);
  const queue::RowPtr next = pair_.TakeNext();
  EXPECT_EQ(next->row.message_id, id);
  EXPECT_EQ(next->row.recipients[1].disposition, Disposition::kQueued);
}

TEST_F(PairOperationsTest, ARowThatIsNotInDoubtIsLeftWhereItIs) {
  const base::Id id = AddRows({{"a@own.test"}});
  AddRows({{"b@own.test"}});
  EXPECT_EQ(pair_.Resolve(RowOf(id), Resolution::kFail), 0U);
  EXPECT_EQ(pair_.TakeNext()->row.message_id, id);
}

// More rows and more queues than one turn takes.
class ManyRowsTest : public DeliveryTest {
 protected:
  static constexpr int kInOneQueue = 1200;
  static constexpr int kQueues = 600;  // with one row each

  ManyRowsTest() {
    options_.at("other") = options_.at("default");
    for (int i = 0; i < kInOneQueue; ++i) Store("large.test");
    for (int i = 0; i < kQueues; ++i) Store(absl::StrCat("d", i, ".test"));
  }
  // Delayed, so that nothing is dialled.
  void Store(const std::string& domain, absl::Duration due_in = absl::Hours(99)) {
    mail::Row row;
    row.message_id = last_ = base::NewId(clock_.Now());
    if (first_.empty()) first_ = last_;
    ids_.push_back(last_);
    row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{domain, "default"});
    row.sender = "s@source.test";
    row.created = clock_.Now() - absl::Hours(1);
    row.expires = absl::InfiniteFuture();
    row.next_attempt = clock_.Now() + due_in;
    row.recipients.push_back({absl::StrCat("r@", domain), Disposition::kQueued, nullptr, {}});
    spool_.Store("content", {row}, [](absl::Status) {});
  }
  Operations& Operate() {
    Start();
    mail::Hold hold;
    hold.scope.domain = "*";
    EXPECT_TRUE(dispatcher_->operations().Suspend(hold).ok());
    return dispatcher_->operations();
  }
  // How many rows wait under a binding, by whether they are due.
  std::pair<std::uint64_t, std::uint64_t> Waiting(const std::string& binding) {
    std::pair<std::uint64_t, std::uint64_t> sum;
    for (const QueueInfo& queue : dispatcher_->ListQueues("*", binding)) {
      sum.first += queue.active;
      sum.second += queue.delayed;
    }
    return sum;
  }
  static constexpr std::uint64_t kAll = kInOneQueue + kQueues;
  using Counts = std::pair<std::uint64_t, std::uint64_t>;
  mail::Scope everything_{"*", ""};
  base::Id first_, last_;
  std::vector<base::Id> ids_;
};

TEST_F(ManyRowsTest, AllActiveRowsOfADomainThatTakesNoMailFail) {
  for (int i = 0; i < kInOneQueue; ++i) Store("null.test", absl::ZeroDuration());
  known_["null.test"].outcome = dns::MxOutcome::kNullMx;
  options_.at("default").routes.clear();
  Start();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (spool_.row_count() > kAll && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_EQ(spool_.row_count(), kAll);
  EXPECT_EQ(Waiting(""), (Counts{0, kAll}));
}

TEST_F(ManyRowsTest, AFlushReachesEveryRowOnce) {
  EXPECT_EQ(*Operate().Flush(everything_, {}), kAll);
  EXPECT_EQ(Waiting("default"), (Counts{kAll, 0}));
  EXPECT_EQ(*dispatcher_->operations().Flush(everything_, {}), 0U);
}

TEST_F(ManyRowsTest, AFlushOfOneMessageLeavesTheOthersAlone) {
  EXPECT_EQ(*Operate().Flush(everything_, last_), 1U);
  EXPECT_EQ(Waiting("default"), (Counts{1, kAll - 1}));
}

TEST_F(ManyRowsTest, AllRowsFail) {
  const mail::Reply reply{550, "5.0.0", "given up", mail::SmtpStage::kNone};
  EXPECT_EQ(*Operate().Fail(everything_, reply, false), kAll);
  EXPECT_EQ(Waiting(""), (Counts{0, 0}));
  EXPECT_EQ(spool_.row_count(), 0U);
}

TEST_F(ManyRowsTest, AllRowsMoveToAnotherBinding) {
  EXPECT_EQ(*Operate().Reroute(everything_, "other"), kAll);
  EXPECT_EQ(Waiting("default"), (Counts{0, 0}));
  EXPECT_EQ(Waiting("other"), (Counts{0, kAll}));
}

// A call waits for the disk for five seconds. One that gives up while the next is at work shows
// nothing, and is no fault on a slow machine: two others are tried.
TEST_F(ManyRowsTest, WhoWaitsForTheDiskDoesNotKeepTheNextCallFromItsWork) {
  Operations& operations = Operate();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto wait_for_rows = [&](std::uint64_t rows) {
    while (Waiting("").second > rows && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    EXPECT_EQ(Waiting(""), (Counts{0, rows}));
  };
  bool side_by_side = false;
  for (std::size_t next = 0; next < 6 && !side_by_side; next += 2) {
    spool_.Hold(true);
    std::atomic<int> over{0};
    std::vector<std::thread> calls;
    for (const std::size_t i : {next, next + 1}) {
      calls.emplace_back([&operations, &over, id = ids_[i]] {
        (void)operations.Cancel(id, {}, "");
        ++over;
      });
      wait_for_rows(kAll - i - 1);
    }
    side_by_side = over == 0;
    spool_.Hold(false);
    for (std::thread& call : calls) call.join();
  }
  EXPECT_TRUE(side_by_side) << "both wait for the disk";
}

TEST_F(ManyRowsTest, ACancellationFindsARowThatIsOnItsWayToAnotherBinding) {
  Operations& operations = Operate();
  spool_.Hold(true);
  std::thread reroute([&] { (void)operations.Reroute(everything_, "other"); });
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Waiting("other").second < kAll && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  std::thread cancel([&] { (void)operations.Cancel(first_, {}, ""); });
  spool_.Hold(false);
  reroute.join();
  cancel.join();
  EXPECT_EQ(Waiting("other"), (Counts{0, kAll - 1}));
}

}  // namespace
}  // namespace postern::delivery

#include "server/delivery/recorder.h"

#include "tests/unit/delivery/fixture.h"

namespace postern::delivery {
namespace {

using RecorderTest = DeliveryTest;

mail::Row RowOf(const base::Id& id, std::uint16_t index, const std::string& domain) {
  mail::Row row;
  row.message_id = id;
  row.index = index;
  row.row_count = 2;
  row.pair = std::make_shared<const mail::PairKey>(mail::PairKey{domain, "default"});
  row.sender = "s@source.test";
  row.created = absl::Now();
  row.expires = row.created + absl::Hours(1);
  row.next_attempt = row.created;
  row.recipients.push_back(
      {absl::StrCat("r@", domain), mail::Disposition::kQueued, nullptr, row.created});
  return row;
}

// It must not be taken for the message's only row: the spool's short way out is not for it.
TEST_F(RecorderTest, FinishesAMessageOfWhichOneRowIsSetAside) {
  const base::Id id = base::NewId(clock_.Now());
  spool_.Store("content", {RowOf(id, 0, "a.test"), RowOf(id, 1, "b.test")}, [](absl::Status) {});
  spool_.SetAside(id, 1);
  dns::MxAnswer null_mx;
  null_mx.outcome = dns::MxOutcome::kNullMx;
  known_["a.test"] = null_mx;
  options_.at("default").routes.clear();
  Start();
  EXPECT_EQ(WaitEvents(1), std::vector<std::string>{"a.test: SMTP_NULL_MX"});
  dispatcher_->ListQueues("*", "");  // the thread is through with it
  EXPECT_EQ(spool_.row_count(), 0U);
  const auto history = spool_.ReadHistory(id);
  ASSERT_TRUE(history.ok());
  ASSERT_EQ(history->size(), 1U);
  EXPECT_EQ(history->front().row.recipients[0].disposition, mail::Disposition::kFailed);
}

}  // namespace
}  // namespace postern::delivery

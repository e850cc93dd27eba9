#include <gtest/gtest.h>

#include "server/spool/hold_codec.h"
#include "tests/unit/spool/spool_testing.h"

namespace postern::spool {
namespace {

mail::Hold FullHold() {
  mail::Hold hold;
  hold.kind = mail::Hold::Kind::kPolicy;
  hold.scope = {"a.test", "pool-1"};
  hold.who = "warmup";
  hold.reason = "too \"fast\"\n";
  hold.since = TestTime();
  hold.until = absl::InfiniteFuture();
  return hold;
}

TEST(HoldCodecTest, ReadsBackEveryField) {
  const mail::Hold hold = FullHold();
  const absl::StatusOr<mail::Hold> read = DecodeHold(View(EncodeHold(hold)));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->kind, hold.kind);
  EXPECT_EQ(read->scope, hold.scope);
  EXPECT_EQ(read->who, hold.who);
  EXPECT_EQ(read->reason, hold.reason);
  EXPECT_EQ(read->since, hold.since);
  EXPECT_EQ(read->until, hold.until);
}

TEST(HoldCodecTest, RefusesWhatIsCutShortAndWhatIsNewer) {
  std::string value = EncodeHold(FullHold());
  for (std::size_t size = 0; size < value.size(); ++size) {
    EXPECT_EQ(DecodeHold(View(value.substr(0, size))).status().code(), absl::StatusCode::kDataLoss)
        << size;
  }
  value[0] = 2;
  EXPECT_EQ(DecodeHold(View(value)).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(NotesTest, SurviveAReopenAndGoWhenEmptied) {
  TempDir dir;
  {
    auto spool = OpenSpool(dir.path());
    spool->PutNote("hold/a", "1");
    spool->PutNote("hold/b", "2");
    spool->PutNote("other/c", "3");
    spool->PutNote("hold/a", "");
  }
  auto spool = OpenSpool(dir.path());
  std::vector<std::string> keys;
  ASSERT_TRUE(spool
                  ->ForEachNote("hold/",
                                [&](const std::string& key, const std::string& value) {
                                  keys.push_back(key + "=" + value);
                                })
                  .ok());
  EXPECT_EQ(keys, std::vector<std::string>{"hold/b=2"});
}

TEST(NotesTest, LatestIsWrittenWhenAllBeforeItAre) {
  TempDir dir;
  auto spool = OpenSpool(dir.path());
  EXPECT_TRUE(spool->IsWritten(spool->Latest())) << "nothing was asked for";
  spool->PutNote("hold/a", "1");
  WaitUntilWritten(*spool, spool->Latest());
  std::string value;
  ASSERT_TRUE(
      spool->ForEachNote("", [&](const std::string&, const std::string& v) { value = v; }).ok());
  EXPECT_EQ(value, "1");
}

}  // namespace
}  // namespace postern::spool

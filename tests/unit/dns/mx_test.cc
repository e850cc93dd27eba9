#include "server/dns/mx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"

namespace postern::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MxTest : public ::testing::Test {
 protected:
  using Set = std::shared_ptr<const RecordSet>;

  RecordSet MxOf(std::vector<MxRecord> records) {
    RecordSet set;
    set.status = records.empty() ? RecordStatus::kNoData : RecordStatus::kRecords;
    set.mx = std::move(records);
    set.expires = now_ + absl::Minutes(10);
    return set;
  }
  Set With(RecordStatus status, std::vector<std::string> addresses = {}) {
    auto set = std::make_shared<RecordSet>();
    set->status = status;
    for (const std::string& address : addresses) {
      set->addresses.push_back(asio::ip::make_address(address));
    }
    if (status == RecordStatus::kTemporary) set->error = "SERVFAIL for A of x";
    set->expires = now_ + absl::Minutes(5);
    return set;
  }
  Set Has(std::vector<std::string> addresses) {
    return With(RecordStatus::kRecords, std::move(addresses));
  }
  Set Nothing() { return With(RecordStatus::kNoData); }

  MxPlan Plan(const RecordSet& mx) { return PlanMail("example.com", mx, now_, random_); }
  MxAnswer Answer(const MxPlan& plan, std::vector<HostRecords> records) {
    return Assemble(plan, records, now_, random_);
  }
  static std::vector<std::string> Names(const MxPlan& plan) {
    std::vector<std::string> names;
    for (const MxHost& host : plan.hosts) names.push_back(host.name);
    return names;
  }
  static std::vector<std::string> Addresses(const MxAnswer& answer) {
    std::vector<std::string> addresses;
    for (const Target& target : answer.targets) addresses.push_back(target.address.to_string());
    return addresses;
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  std::mt19937_64 random_{1};
};

TEST_F(MxTest, OrdersHostsByPreference) {
  EXPECT_THAT(Names(Plan(MxOf({{30, "c"}, {10, "a"}, {20, "b"}}))), ElementsAre("a", "b", "c"));
}

TEST_F(MxTest, ShufflesHostsOfOnePreferenceOnly) {
  std::map<std::string, int> first;
  for (int i = 0; i < 300; ++i) {
    const auto names = Names(Plan(MxOf({{10, "a"}, {10, "b"}, {10, "c"}, {20, "z"}})));
    ++first[names.at(0)];
    EXPECT_EQ(names.at(3), "z");
  }
  EXPECT_EQ(first.size(), 3U);
  for (const auto& [name, count] : first) EXPECT_GT(count, 60) << name;
}

TEST_F(MxTest, TriesAHostOnceAtItsBestPreference) {
  const MxPlan plan = Plan(MxOf({{20, "a"}, {15, "b"}, {10, "a"}, {10, "a"}}));
  EXPECT_THAT(Names(plan), ElementsAre("a", "b"));
  EXPECT_EQ(plan.hosts[0].preference, 10);
}

TEST_F(MxTest, TakesASingleRootAsNullMx) {
  const MxPlan plan = Plan(MxOf({{0, ""}}));
  ASSERT_TRUE(plan.answer.has_value());
  EXPECT_EQ(plan.answer->outcome, MxOutcome::kNullMx);
  EXPECT_EQ(plan.answer->ttl, absl::Minutes(10));
}

TEST_F(MxTest, IgnoresARootBesideOtherHosts) {
  EXPECT_THAT(Names(Plan(MxOf({{0, ""}, {10, "a"}}))), ElementsAre("a"));
}

TEST_F(MxTest, TakesTheDomainItselfOnlyWithoutAnyMx) {
  const MxPlan implicit = Plan(MxOf({}));
  EXPECT_THAT(Names(implicit), ElementsAre("example.com"));
  EXPECT_TRUE(implicit.domain_itself);
  const MxPlan useless = Plan(MxOf({{10, "gone.example.com"}}));
  EXPECT_FALSE(useless.domain_itself);
  EXPECT_EQ(Answer(useless, {{Nothing(), Nothing()}}).outcome, MxOutcome::kNoAddress);
}

TEST_F(MxTest, TellsNoDomainFromTemporaryTrouble) {
  RecordSet mx = MxOf({});
  mx.status = RecordStatus::kNoDomain;
  EXPECT_EQ(Plan(mx).answer.value().outcome, MxOutcome::kNoDomain);
  mx.status = RecordStatus::kTemporary;
  mx.error = "SERVFAIL for MX of example.com";
  EXPECT_EQ(Plan(mx).answer.value().outcome, MxOutcome::kTemporary);
  EXPECT_EQ(Plan(mx).answer.value().error, "SERVFAIL for MX of example.com");
}

TEST_F(MxTest, AsksForAtMost32Hosts) {
  std::vector<MxRecord> many;
  for (int i = 0; i < 100; ++i) many.push_back({i, absl::StrCat("mx", i)});
  const MxPlan plan = Plan(MxOf(many));
  ASSERT_EQ(plan.hosts.size(), 32U);
  EXPECT_EQ(plan.hosts.back().name, "mx31");
}

TEST_F(MxTest, PutsEachHostsIpv4AddressesFirst) {
  const MxPlan plan = Plan(MxOf({{10, "a"}, {20, "b"}}));
  const MxAnswer answer = Answer(plan, {{Has({"192.0.2.1"}), Has({"2001:db8::1"})},
                                        {Has({"192.0.2.2"}), Has({"2001:db8::2"})}});
  EXPECT_EQ(answer.outcome, MxOutcome::kOk);
  EXPECT_THAT(Addresses(answer),
              ElementsAre("192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"));
  EXPECT_EQ(answer.targets[3].host, "b");
  EXPECT_EQ(answer.targets[3].preference, 20);
  EXPECT_EQ(answer.ttl, absl::Minutes(5));  // the addresses' comes before the MX records'
}

TEST_F(MxTest, ShufflesTheAddressesOfOneHost) {
  const MxPlan plan = PlanHost("a");
  std::set<std::string> first;
  for (int i = 0; i < 50; ++i) {
    first.insert(Addresses(Answer(plan, {{Has({"192.0.2.1", "192.0.2.2"}), Nothing()}})).at(0));
  }
  EXPECT_EQ(first.size(), 2U);
}

TEST_F(MxTest, TriesAnAddressOnceThoughTwoHostsHaveIt) {
  const MxPlan plan = Plan(MxOf({{10, "a"}, {20, "b"}}));
  const MxAnswer answer =
      Answer(plan, {{Has({"192.0.2.1"}), Nothing()}, {Has({"192.0.2.1", "192.0.2.2"}), Nothing()}});
  EXPECT_THAT(Addresses(answer), ElementsAre("192.0.2.1", "192.0.2.2"));
  EXPECT_EQ(answer.targets[0].host, "a");
}

TEST_F(MxTest, SkipsHostsWithoutAddress) {
  const MxPlan plan = Plan(MxOf({{10, "a"}, {20, "b"}, {30, "c"}, {40, "d"}}));
  const MxAnswer answer =
      Answer(plan, {{Nothing(), Nothing()},
                    {With(RecordStatus::kNoDomain), With(RecordStatus::kNoDomain)},
                    {With(RecordStatus::kTemporary), nullptr},
                    {Has({"192.0.2.4"}), Nothing()}});
  EXPECT_EQ(answer.outcome, MxOutcome::kOk);
  EXPECT_THAT(Addresses(answer), ElementsAre("192.0.2.4"));
  EXPECT_EQ(answer.ttl, absl::ZeroDuration());  // one lookup is still under way
}

TEST_F(MxTest, TellsBesideTheTargetsThatAHostCouldNotBeLookedUp) {
  const MxPlan plan = Plan(MxOf({{10, "a"}, {20, "localhost"}}));
  const HostRecords local = {Has({"127.0.0.1"}), Nothing()};
  MxAnswer answer = Answer(plan, {{With(RecordStatus::kTemporary), Nothing()}, local});
  EXPECT_EQ(answer.outcome, MxOutcome::kOk);
  EXPECT_EQ(answer.missing, "SERVFAIL for A of x");
  answer = Answer(plan, {{nullptr, Nothing()}, local});
  EXPECT_EQ(answer.missing, "time-out for A of a");
  answer = Answer(plan, {{Nothing(), Nothing()}, local});
  EXPECT_EQ(answer.missing, "");
}

TEST_F(MxTest, DefersIfALookupThatFailedMightHaveHadAnAddress) {
  const MxPlan plan = Plan(MxOf({{10, "a"}, {20, "b"}}));
  MxAnswer answer =
      Answer(plan, {{Nothing(), Nothing()}, {With(RecordStatus::kTemporary), Nothing()}});
  EXPECT_EQ(answer.outcome, MxOutcome::kTemporary);
  EXPECT_EQ(answer.error, "SERVFAIL for A of x");
  answer = Answer(plan, {{Nothing(), Nothing()}, {Nothing(), nullptr}});
  EXPECT_EQ(answer.outcome, MxOutcome::kTemporary);
  EXPECT_EQ(answer.error, "time-out for AAAA of b");
}

TEST_F(MxTest, TellsNoAddressFromNoDomain) {
  const Set gone = With(RecordStatus::kNoDomain);
  MxAnswer answer = Answer(Plan(MxOf({{10, "a"}, {20, "b"}})), {{gone, gone}, {gone, gone}});
  EXPECT_EQ(answer.outcome, MxOutcome::kNoAddress);
  EXPECT_EQ(answer.error, "no address for a, b, the MX of example.com");
  EXPECT_EQ(Answer(PlanHost("a"), {{gone, gone}}).outcome, MxOutcome::kNoDomain);
  EXPECT_EQ(Answer(PlanHost("a"), {{Nothing(), Nothing()}}).outcome, MxOutcome::kNoAddress);
  EXPECT_EQ(Answer(PlanHost("a"), {{gone, Nothing()}}).outcome, MxOutcome::kNoAddress);
}

TEST(MxLiteralTest, AnswersAddressLiteralsOfMail) {
  EXPECT_EQ(AnswerMailLiteral("[192.0.2.1]")->targets.at(0).address.to_string(), "192.0.2.1");
  EXPECT_EQ(AnswerMailLiteral("[ipv6:2001:db8::1]")->targets.at(0).address.to_string(),
            "2001:db8::1");
  EXPECT_EQ(AnswerMailLiteral("[192.0.2.1]")->targets.at(0).host, "[192.0.2.1]");
  for (const char* wrong : {"[2001:db8::1]", "[192.0.2]", "[]", "[192.0.2.1", "[ipv6:192.0.2.1]"}) {
    EXPECT_EQ(AnswerMailLiteral(wrong).value().outcome, MxOutcome::kNoDomain) << wrong;
  }
  EXPECT_FALSE(AnswerMailLiteral("example.com").has_value());
  EXPECT_FALSE(AnswerMailLiteral("192.0.2.1").has_value());
}

TEST(MxLiteralTest, AnswersHostsThatAreAddresses) {
  for (const char* text : {"2001:db8::1", "[2001:db8::1]", "[ipv6:2001:db8::1]"}) {
    EXPECT_EQ(AnswerHostLiteral(text).value().targets.at(0).address.to_string(), "2001:db8::1")
        << text;
  }
  EXPECT_EQ(AnswerHostLiteral("192.0.2.1").value().targets.at(0).host, "192.0.2.1");
  EXPECT_EQ(AnswerHostLiteral("[nonsense]").value().outcome, MxOutcome::kNoDomain);
  EXPECT_FALSE(AnswerHostLiteral("mx.example.com").has_value());
}

}  // namespace
}  // namespace postern::dns

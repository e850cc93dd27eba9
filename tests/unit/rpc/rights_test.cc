// What the rights of an identity allow.
#include "server/rpc/rights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postern::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

mail::Submission From(std::string sender, std::string binding = "") {
  mail::Submission submission;
  submission.sender = std::move(sender);
  submission.binding = std::move(binding);
  return submission;
}

absl::Status Allow(const SubmitRight& right, mail::Submission submission) {
  Rights rights;
  rights.submit = right;
  return rights.AllowSubmission(submission);
}

TEST(SubmitRight, WithoutListsAllowsEverything) {
  EXPECT_TRUE(Allow({}, From("a@b.example", "bulk")).ok());
  EXPECT_TRUE(Allow({}, From("")).ok());
}

TEST(SubmitRight, IsMissingUnlessGranted) {
  Rights rights;
  mail::Submission submission = From("a@b.example");
  const absl::Status status = rights.AllowSubmission(submission);
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("submit: "));
}

TEST(SubmitRight, GoesByTheSendersDomain) {
  SubmitRight right;
  right.sender_domains = {"b.example", "*.sub.example"};
  EXPECT_TRUE(Allow(right, From("a@B.example")).ok());
  EXPECT_TRUE(Allow(right, From("a@x.sub.example")).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Allow(right, From("a@sub.example"))));
  EXPECT_TRUE(absl::IsPermissionDenied(Allow(right, From("a@other.example"))));
  // The domain is what stands behind the last @, whatever the local part pretends.
  EXPECT_TRUE(absl::IsPermissionDenied(Allow(right, From("\"x@b.example\"@other.example"))));
}

TEST(SubmitRight, NeedsAWordForTheNullSender) {
  SubmitRight right;
  right.sender_domains = {"b.example"};
  EXPECT_TRUE(absl::IsPermissionDenied(Allow(right, From(""))));
  right.sender_domains = {"b.example", "<>"};
  EXPECT_TRUE(Allow(right, From("")).ok());
  right.sender_domains = {"*"};
  EXPECT_TRUE(Allow(right, From("")).ok());
}

TEST(SubmitRight, LeavesNothingUnparsedThrough) {
  SubmitRight right;
  right.sender_domains = {"b.example"};
  EXPECT_FALSE(Allow(right, From("nobody")).ok());
  EXPECT_FALSE(Allow(right, From("a@b.example ")).ok());
}

TEST(SubmitRight, GoesByBindingAndTheDefaultIsOneToo) {
  SubmitRight right;
  right.bindings = {"bulk"};
  EXPECT_TRUE(Allow(right, From("a@b.example", "bulk")).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Allow(right, From("a@b.example"))));
  right.bindings = {"default"};
  EXPECT_TRUE(Allow(right, From("a@b.example")).ok());
}

TEST(SubmitRight, GivesTheFirstTenantToWhoNamesNone) {
  Rights rights;
  rights.submit.emplace();
  rights.submit->tenants = {"red", "blue"};
  mail::Submission submission = From("a@b.example");
  EXPECT_TRUE(rights.AllowSubmission(submission).ok());
  EXPECT_EQ(submission.tenant, "red");
  submission.tenant = "blue";
  EXPECT_TRUE(rights.AllowSubmission(submission).ok());
  submission.tenant = "green";
  EXPECT_TRUE(absl::IsPermissionDenied(rights.AllowSubmission(submission)));
}

bridge::Filter Both(std::vector<std::string> a, std::vector<std::string> b) {
  return Intersect({std::move(a), {}}, {std::move(b), {}})
      .value_or(bridge::Filter{{"nothing"}, {}});
}

TEST(Intersect, KeepsTheNarrowerOfTwoGlobs) {
  EXPECT_THAT(Both({"*"}, {"a.example"}).domains, ElementsAre("a.example"));
  EXPECT_THAT(Both({"*.example"}, {"*.b.example"}).domains, ElementsAre("*.b.example"));
  EXPECT_THAT(Both({"x.b.example"}, {"*.b.example"}).domains, ElementsAre("x.b.example"));
  EXPECT_THAT(Both({"A.example"}, {"a.example"}).domains, ElementsAre("A.example"));
  EXPECT_THAT(Both({}, {"a.example"}).domains, ElementsAre("a.example"));
  EXPECT_THAT(Both({"a.example"}, {}).domains, ElementsAre("a.example"));
  EXPECT_THAT(Both({}, {}).domains, IsEmpty());
  EXPECT_THAT(Both({"a.example", "*.b.example", "c.example"}, {"*.example"}).domains,
              ElementsAre("a.example", "*.b.example", "c.example"));
}

TEST(Intersect, FindsNothingWhereGlobsAreApart) {
  EXPECT_THAT(Both({"a.example"}, {"b.example"}).domains, ElementsAre("nothing"));
  EXPECT_THAT(Both({"*.a.example"}, {"*.b.example"}).domains, ElementsAre("nothing"));
  // "*.example" does not hold the suffix itself, nor names that only end in the same letters.
  EXPECT_THAT(Both({"b.example"}, {"*.b.example"}).domains, ElementsAre("nothing"));
  EXPECT_THAT(Both({"*.xb.example"}, {"*.b.example"}).domains, ElementsAre("nothing"));
}

TEST(Intersect, TreatsBindingsAsNames) {
  const auto both = Intersect({{}, {"bulk", "news"}}, {{}, {"news"}});
  ASSERT_TRUE(both.has_value());
  EXPECT_THAT(both->bindings, ElementsAre("news"));
  EXPECT_FALSE(Intersect({{}, {"bulk"}}, {{}, {"news"}}).has_value());
}

TEST(DecideRight, NamesWhoMayBeImpersonated) {
  Rights rights;
  rights.decide.emplace();
  rights.decide->providers = {"exact", "warm-*"};
  rights.decide->filter.domains = {"*.example"};
  bridge::Filter filter;
  EXPECT_TRUE(rights.ClampDecide("exact", filter).ok());
  EXPECT_THAT(filter.domains, ElementsAre("*.example"));
  EXPECT_TRUE(rights.ClampDecide("warm-up", filter).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(rights.ClampDecide("exactly", filter)));
  filter.domains = {"other.test"};
  EXPECT_TRUE(absl::IsPermissionDenied(rights.ClampDecide("exact", filter)));
}

// What a filter of so many entries comes to under a right; its names are in `entries`.
absl::Status Clamped(std::vector<std::string> bridge::Filter::*entries,
                     std::vector<std::string> value, bool watch) {
  Rights rights;
  rights.watch.emplace();
  rights.decide.emplace();
  (*rights.watch).*entries = {"only.example"};
  rights.decide->filter.*entries = {"only.example"};
  bridge::Filter filter;
  filter.*entries = std::move(value);
  return watch ? rights.ClampWatch(filter) : rights.ClampDecide("p", filter);
}

TEST(FilterLimits, AreCheckedBeforeAFilterIsNarrowed) {
  using Filter = bridge::Filter;
  for (const bool watch : {true, false}) {
    // All the same, so what is left of them would be one.
    const std::vector<std::string> many(bridge::kMaxGlobs + 1, "only.example");
    absl::Status status = Clamped(&Filter::domains, many, watch);
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("filter.domains: over 256"));
    status = Clamped(&Filter::bindings, many, watch);
    EXPECT_THAT(std::string(status.message()), HasSubstr("filter.bindings: over 256"));
    // Not even within the right.
    const std::string lengthy(bridge::kMaxGlobBytes + 1, 'a');
    status = Clamped(&Filter::domains, {"only.example", lengthy}, watch);
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("filter.domains[1]: over 1024 bytes"));
    const std::vector<std::string> enough(bridge::kMaxGlobs, "only.example");
    EXPECT_TRUE(Clamped(&Filter::domains, enough, watch).ok());
  }
}

TEST(Intersect, NamesNothingTwice) {
  const std::vector<std::string> stars(3, "*");
  EXPECT_THAT(Both(stars, {"a.example", "b.example"}).domains,
              ElementsAre("a.example", "b.example"));
}

TEST(Rights, OfThoseWhoSeeClients) {
  Rights rights;
  rights.submit.emplace();
  rights.all = true;
  EXPECT_FALSE(rights.SeesClients());
  rights.watch.emplace();
  EXPECT_TRUE(rights.SeesClients());
  rights.watch.reset();
  rights.decide.emplace();
  EXPECT_TRUE(rights.SeesClients());
  rights.decide.reset();
  rights.control = true;
  EXPECT_TRUE(rights.SeesClients());
}

TEST(RightFor, AsksForControlWhereAMethodIsNotKnown) {
  EXPECT_EQ(RightFor("Delivery.Submit"), Right::kSubmit);
  EXPECT_EQ(RightFor("Hooks.Decide"), Right::kDecide);
  EXPECT_EQ(RightFor("Control.Suspend"), Right::kControl);
  EXPECT_EQ(RightFor("Delivery.SomethingNew"), Right::kControl);
  EXPECT_EQ(RightFor("Hooks.SomethingNew"), Right::kControl);
  EXPECT_EQ(RightFor("Health.Check"), Right::kNone);
}

TEST(RightFor, AsksForAnIdentityOnlyWhereAnswersAreNarrowedToIt) {
  EXPECT_EQ(RightFor("Delivery.Outcomes"), Right::kAny);
  EXPECT_EQ(RightFor("Delivery.GetMessage"), Right::kAny);
  EXPECT_EQ(RightFor("Delivery.ListMessages"), Right::kAny);
}

}  // namespace
}  // namespace postern::rpc

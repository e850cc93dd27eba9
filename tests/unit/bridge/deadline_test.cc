// Deadlines of several providers in one question.
#include "tests/unit/bridge/fixture.h"

namespace postern::bridge {
namespace {

class DeadlineTest : public BridgeTest {
 protected:
  void SetUp() override {
    PolicyOptions options;
    options.timeout = absl::Seconds(5);
    Start(options);
    session = std::make_unique<FakeSession>(*bridge, clock);
    session->Connect();
  }
  AttachRequest Quick(DefaultVerdict verdict) {
    AttachRequest request = Request("quick");
    request.timeout = absl::Milliseconds(50);
    request.default_verdict = verdict;
    return request;
  }
  std::unique_ptr<FakeSession> session;
};

TEST_F(DeadlineTest, ADefaultThatEndsTheSessionIsNotWaitedPast) {
  Client before = Attach("before"), quick = Attach(Quick(DefaultVerdict::kShutdown)),
         after = Attach("after");
  EXPECT_EQ(session->Ask().deadline, clock.Steady() + absl::Milliseconds(50));
  before.Take();
  clock.Advance(absl::Milliseconds(50));
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(session->construct.remote->provider, "quick");
  EXPECT_EQ(Count(Status("quick"), DefaultCause::kTimeout), 1u);
  for (const char* other : {"before", "after"}) {
    EXPECT_EQ(Status(other).cancelled, 1u) << other << " had more time";
  }
  EXPECT_EQ(before.Take().cancelled.at(0).cause, CancelCause::kDecided);
  ExpectBalance();
}

TEST_F(DeadlineTest, ADefaultOfKeepLetsTheOthersHaveTheirTime) {
  Client quick = Attach(Quick(DefaultVerdict::kKeep)), slow = Attach("slow");
  EXPECT_EQ(session->Ask().deadline, clock.Steady() + absl::Seconds(5));
  clock.Advance(absl::Seconds(4));
  EXPECT_EQ(slow.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kApplied);
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(Count(Status("quick"), DefaultCause::kTimeout), 1u);
  ExpectBalance();
}

TEST_F(DeadlineTest, AnAnswerBeforeTheOwnDeadlineStillCounts) {
  Client quick = Attach(Quick(DefaultVerdict::kShutdown)), slow = Attach("slow");
  session->Ask();
  clock.Advance(absl::Milliseconds(49));
  EXPECT_EQ(quick.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kApplied);
  EXPECT_EQ(slow.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kApplied);
  EXPECT_FALSE(session->Settle());
}

TEST_F(DeadlineTest, TheOthersHaveTheirTimeWhenTheQuickOneHasSaidKeep) {
  Client quick = Attach(Quick(DefaultVerdict::kShutdown)), slow = Attach("slow");
  const absl::Time start = clock.Steady();
  session->Ask();
  clock.Advance(absl::Milliseconds(10));
  EXPECT_EQ(quick.Answer(*session, 1, Decision::kKeep).status, VerdictStatus::kApplied);
  clock.Advance(absl::Milliseconds(40));
  EXPECT_EQ(session->Deadline(), start + absl::Seconds(5));
  clock.Advance(absl::Milliseconds(150));
  EXPECT_EQ(slow.Answer(*session, 1, Decision::kShutdown).status, VerdictStatus::kApplied);
  EXPECT_EQ(session->Deadline(), absl::InfinitePast()) << "it is decided";
  EXPECT_TRUE(session->Settle());
  EXPECT_EQ(session->construct.remote->provider, "slow");
  EXPECT_EQ(Count(Status("slow"), DefaultCause::kTimeout), 0u);
  ExpectBalance();
}

TEST_F(DeadlineTest, LateIsCountedFromTheOwnDeadlineOn) {
  Client quick = Attach(Quick(DefaultVerdict::kKeep)), slow = Attach("slow");
  session->Ask();
  clock.Advance(absl::Milliseconds(65));
  const VerdictResult late = quick.Answer(*session, 1, Decision::kShutdown);
  EXPECT_EQ(late.status, VerdictStatus::kLate);
  EXPECT_EQ(late.late_by, absl::Milliseconds(15));
}

}  // namespace
}  // namespace postern::bridge

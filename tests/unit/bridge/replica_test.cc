// Replicas that join while others are there.
#include "tests/unit/bridge/fixture.h"

namespace postern::bridge {
namespace {

class ReplicaTest : public BridgeTest {
 protected:
  Client Join(bool shadow = false) {
    AttachRequest request = Request("p");
    request.kinds = KindSet::All();
    request.shadow = shadow;
    return Attach(std::move(request));
  }
  void Open(int n) {
    for (int i = 0; i < n; ++i) {
      sessions.push_back(std::make_unique<FakeSession>(*bridge, clock));
      sessions.back()->Connect();
    }
  }
  // Who is asked about it and gets its events; the question is answered. One that the other is
  // asked is cancelled: ten in a row that run out of time would open the breaker, and chance makes
  // such rows.
  bool Belongs(FakeSession& session, Client& client) {
    session.Ask();
    const Received received = client.Take();
    const bool asked = !received.questions.empty();
    EXPECT_EQ(asked, !received.events.empty());
    if (asked) client.Answer(session, received.questions.back().number, Decision::kKeep);
    session.Settle();
    client.Take();
    return asked;
  }
  std::vector<std::unique_ptr<FakeSession>> sessions;
};

TEST_F(ReplicaTest, OneThatJoinsTakesNoConnectionFromOneThatIsThere) {
  Client first = Join();
  Open(20);
  first.Take();
  Client second = Join();
  for (auto& session : sessions) {
    EXPECT_TRUE(Belongs(*session, first));
    const Received received = second.Take();
    EXPECT_TRUE(received.questions.empty());
    EXPECT_TRUE(received.events.empty());
    EXPECT_EQ(second.Stand(*session, Decision::kShutdown).status, VerdictStatus::kStale);
    EXPECT_EQ(first.Stand(*session, Decision::kShutdown, 100).status, VerdictStatus::kStored);
    session->Close();
    EXPECT_EQ(first.Take().events.size(), 1u) << "its end";
    EXPECT_TRUE(second.Take().events.empty());
  }
}

TEST_F(ReplicaTest, NewConnectionsAreSharedAndThoseOfOneThatGoesMove) {
  Client first = Join();
  Open(20);
  Client second = Join();
  first.Take();
  Open(40);
  first.Take();
  second.Take();
  std::vector<FakeSession*> moving;
  std::size_t of_second = 0;
  for (auto& session : sessions) {
    if (Belongs(*session, first)) {
      moving.push_back(session.get());
    } else {
      ++of_second;
    }
  }
  EXPECT_GT(moving.size(), 25u);
  EXPECT_GT(of_second, 5u);
  first.session.reset();
  Client third = Join();
  third.Take();
  second.Take();
  for (FakeSession* session : moving) {
    EXPECT_TRUE(Belongs(*session, second)) << "it was there before the third";
    EXPECT_TRUE(third.Take().questions.empty());
  }
}

TEST_F(ReplicaTest, ThoseInShadowModeKeepTheirs) {
  Client first = Join(/*shadow=*/true);
  Open(20);
  Client second = Join(/*shadow=*/true);
  first.Take();
  for (auto& session : sessions) {
    session->Ask();
    session->Settle();
    EXPECT_EQ(first.Take().questions.size(), 1u);
    EXPECT_TRUE(second.Take().questions.empty());
  }
}

}  // namespace
}  // namespace postern::bridge

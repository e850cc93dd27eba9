#include "server/hooks/hook_point.h"

#include <gmock/gmock.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <thread>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "tests/unit/hooks/fixture.h"

namespace postern::hooks {
namespace {

// Not to be waited for. The hook point looks again every five seconds, also when it stands still.
constexpr absl::Duration kFar = absl::Hours(1);

class FixedClock final : public base::Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixMicros(1'700'000'000'000'042); }
  absl::Time Steady() const override { return stopped_at_.value_or(system_.Steady()); }
  void Stop() { stopped_at_ = system_.Steady(); }

 private:
  base::SystemClock system_;
  std::optional<absl::Time> stopped_at_;
};

class FakeSource final : public VerdictSource {
 public:
  explicit FakeSource(const base::Clock& clock) : clock_(clock) {}

  Asked Ask(DeliveryConstruct& construct, bool wait_allowed,
            std::function<void()> wake_up) override {
    ++asked;
    wait_was_allowed = wait_allowed;
    wake = std::move(wake_up);
    if (settled_at_once) construct.remote = answer;
    if (on_ask) on_ask();
    Asked result;
    result.settled = settled_at_once;
    result.question = 42;
    result.deadline = deadline = clock_.Steady() + wait;
    return result;
  }
  absl::Time DeadlineOf(std::uint64_t question, const DeliveryConstruct&) override {
    EXPECT_EQ(question, 42u);
    return on_deadline ? on_deadline() : deadline;
  }
  void Settle(std::uint64_t question, DeliveryConstruct& construct) override {
    ++settled;
    EXPECT_EQ(question, 42u);
    settled_at = clock_.Steady();
    if (on_settle) on_settle();
    construct.remote = answer;
  }
  void OnVerdict(const DeliveryConstruct&, const ShutdownVerdict& verdict) override {
    verdicts.push_back(verdict);
  }

  bool settled_at_once = false;
  absl::Duration wait = kFar;
  std::optional<ShutdownVerdict> answer;
  std::function<void()> on_ask, on_settle;
  std::function<absl::Time()> on_deadline;  // none: it is as it was

  int asked = 0, settled = 0;
  bool wait_was_allowed = false;
  std::function<void()> wake;
  absl::Time deadline, settled_at;
  std::vector<ShutdownVerdict> verdicts;

 private:
  const base::Clock& clock_;
};

int BridgeJudge(void*, delivery_construct* dc) {
  const std::optional<ShutdownVerdict>& remote = DeliveryConstruct::From(dc).remote;
  return remote.has_value() && remote->shutdown ? 1 : 0;
}

int NativeJudge(void* closure, delivery_construct* dc) {
  delivery_construct_hold(dc, 7);
  delivery_construct_avoid_host(dc, 9);
  ++static_cast<int*>(closure)[1];
  return static_cast<int*>(closure)[0];
}

class HookPointTest : public HooksTest {
 protected:
  void AddBridge() {
    const absl::Status status = RegisterServerProvider("bridge", [] {
      register_core_smtp_should_session_shutdown_hook_last(BridgeJudge, nullptr);
    });
    ASSERT_TRUE(status.ok());
  }
  void AddNative(int says) {
    native_[0] = says;
    RegisterNative("gatekeeper", [&] {
      register_core_smtp_should_session_shutdown_hook_last(NativeJudge, native_);
    });
  }
  static ShutdownVerdict RemoteShutdown() {
    ShutdownVerdict verdict;
    verdict.shutdown = true;
    verdict.provider = "limiter";
    verdict.reason = "enough";
    verdict.hold = absl::Seconds(3);
    return verdict;
  }

  // Spawns a call; its verdict is in verdict_ when it has ended.
  void Spawn(asio::io_context& io, VerdictSource* source, bool session_over = false) {
    point_ = std::make_unique<HookPoint>(clock_, source, nullptr);
    asio::co_spawn(io, Call(io, session_over), asio::detached);
  }
  void Run(VerdictSource* source, bool session_over = false) {
    asio::io_context io;
    Spawn(io, source, session_over);
    io.run();
    ASSERT_TRUE(verdict_.has_value());
  }
  asio::awaitable<void> Call(asio::io_context& io, bool session_over) {
    // Runs before the call returns exactly when the call gives the thread away.
    asio::post(io, [this] { gave_thread_away_ = !verdict_.has_value(); });
    verdict_ = co_await point_->AskShouldSessionShutdown(construct_, session_over, &wait_);
  }

  FixedClock clock_;
  FakeSource source_{clock_};
  std::unique_ptr<HookPoint> point_;
  DeliveryConstruct construct_;
  VerdictWait wait_;
  std::optional<ShutdownVerdict> verdict_;
  bool gave_thread_away_ = false;
  int native_[2] = {0, 0};  // what NativeJudge returns; how often it was called
};

TEST_F(HookPointTest, RaisesThePostInitiateHookWithTheTime) {
  struct Seen {
    const domain_record* dr;
    int slot;
    timeval now;
    int conn_fd;
  } seen{};
  RegisterNative("a", [&] {
    register_core_post_initiate_connection_smtp_hook_last(
        [](void* closure, domain_record* dr, int slot, timeval* now, int conn_fd) {
          *static_cast<Seen*>(closure) = {dr, slot, *now, conn_fd};
        },
        &seen);
  });
  HookPoint point(clock_, nullptr, nullptr);
  DomainRecord domain;
  point.PostInitiateConnection(domain, 3, CONN_ERR_BIND);
  EXPECT_EQ(seen.dr, &domain);
  EXPECT_EQ(seen.slot, 3);
  EXPECT_EQ(seen.now.tv_sec, 1'700'000'000);
  EXPECT_EQ(seen.now.tv_usec, 42);
  EXPECT_EQ(seen.conn_fd, CONN_ERR_BIND);
}

TEST_F(HookPointTest, ReturnsAtOnceWithoutProvidersAndAsksNobody) {
  Run(&source_);
  EXPECT_FALSE(point_->has_should_session_shutdown());
  EXPECT_FALSE(verdict_->shutdown);
  EXPECT_FALSE(gave_thread_away_);
  EXPECT_EQ(source_.asked, 0);
}

TEST_F(HookPointTest, CallsNativeProvidersWithoutSuspendingWhenThereIsNoSource) {
  AddNative(/*says=*/1);
  Run(nullptr);
  EXPECT_TRUE(point_->has_should_session_shutdown());
  EXPECT_FALSE(gave_thread_away_);
  EXPECT_TRUE(verdict_->shutdown);
  EXPECT_FALSE(verdict_->result_ignored);
  EXPECT_EQ(verdict_->cause, mail::CloseCause::kHook);
  EXPECT_EQ(verdict_->provider, "gatekeeper");
  EXPECT_EQ(verdict_->hold, absl::Seconds(7));
  EXPECT_EQ(verdict_->avoid_host, absl::Seconds(9));
}

TEST_F(HookPointTest, DoesNotSuspendForAQuestionThatIsSettledAtOnce) {
  AddBridge();
  source_.settled_at_once = true;
  source_.answer = RemoteShutdown();
  Run(&source_);
  EXPECT_FALSE(gave_thread_away_);
  EXPECT_EQ(source_.settled, 0);
  EXPECT_TRUE(verdict_->shutdown);
  EXPECT_EQ(source_.verdicts.size(), 1u);
}

TEST_F(HookPointTest, WaitsOnWhereSomeHaveMoreTime) {
  AddBridge();
  clock_.Stop();  // or the millisecond may be over before the wait begins
  source_.wait = absl::Milliseconds(1);
  source_.answer = RemoteShutdown();
  asio::io_context io;
  int looked = 0;
  source_.on_deadline = [&] {
    ++looked;
    EXPECT_EQ(source_.settled, 0);
    asio::post(io, source_.wake);
    return clock_.Steady() + kFar;
  };
  Spawn(io, &source_);
  io.run();
  EXPECT_EQ(looked, 1);
  EXPECT_EQ(source_.settled, 1);
  EXPECT_TRUE(verdict_->shutdown);
}

TEST_F(HookPointTest, AWaitIsEndedBeforeItsTime) {
  AddBridge();
  source_.on_deadline = [] {
    ADD_FAILURE() << "who is ended does not wait on";
    return absl::InfinitePast();
  };
  asio::io_context io;
  source_.on_ask = [&] { asio::post(io, [this] { wait_.End(); }); };
  Spawn(io, &source_);
  io.run();
  EXPECT_EQ(source_.settled, 1);
  EXPECT_FALSE(verdict_->shutdown);
  wait_.End();  // nobody waits
}

TEST_F(HookPointTest, AWaitIsEndedInTheMomentOfItsDeadline) {
  AddBridge();
  source_.wait = absl::Milliseconds(2);
  source_.on_deadline = [] {
    ADD_FAILURE() << "who is ended does not wait on";
    return absl::InfinitePast();
  };
  asio::io_context io;
  asio::steady_timer before(io);
  source_.on_ask = [&] {
    before.expires_after(std::chrono::milliseconds(1));
    before.async_wait([this](std::error_code) { wait_.End(); });
    // The loop finds both times over at once: neither wait can be cancelled any more.
    asio::post(io, [this] {
      while (clock_.Steady() <= source_.deadline) {
      }
    });
  };
  Spawn(io, &source_);
  io.run();
  EXPECT_EQ(source_.settled, 1);
  EXPECT_FALSE(verdict_->shutdown);
}

TEST_F(HookPointTest, WaitsUntilWokenFromAnotherThread) {
  AddBridge();
  source_.answer = RemoteShutdown();
  std::thread waker;
  asio::io_context io;
  // Answered only after the session has given its thread to others.
  source_.on_ask = [&] { asio::post(io, [&] { waker = std::thread(source_.wake); }); };
  Spawn(io, &source_);
  io.run();
  waker.join();
  ASSERT_TRUE(verdict_.has_value());
  EXPECT_TRUE(gave_thread_away_);
  EXPECT_TRUE(source_.wait_was_allowed);
  EXPECT_EQ(source_.settled, 1);
  EXPECT_LT(source_.settled_at, source_.deadline);
  EXPECT_TRUE(verdict_->shutdown);
  EXPECT_EQ(verdict_->cause, mail::CloseCause::kRemotePolicy);
  EXPECT_EQ(verdict_->provider, "limiter");
  EXPECT_EQ(verdict_->reason, "enough");
  EXPECT_EQ(verdict_->hold, absl::Seconds(3));
  ASSERT_EQ(source_.verdicts.size(), 1u);
  EXPECT_EQ(source_.verdicts[0].provider, "limiter");
}

TEST_F(HookPointTest, TakesAnAnswerThatComesBeforeTheWaitBegins) {
  AddBridge();
  source_.on_ask = [&] { std::thread(source_.wake).join(); };
  Run(&source_);
  EXPECT_EQ(source_.settled, 1);
  EXPECT_LT(source_.settled_at, source_.deadline);
  EXPECT_FALSE(verdict_->shutdown);
}

TEST_F(HookPointTest, GoesOnAtTheDeadlineWithoutAnAnswer) {
  AddBridge();
  source_.wait = absl::Milliseconds(5);
  Run(&source_);
  EXPECT_EQ(source_.settled, 1);
  EXPECT_GE(source_.settled_at, source_.deadline);
  EXPECT_FALSE(verdict_->shutdown);
}

TEST_F(HookPointTest, SettlesAtOnceWhenTheDeadlineHasPassed) {
  AddBridge();
  source_.wait = -absl::Seconds(1);
  Run(&source_);
  EXPECT_EQ(source_.settled, 1);
  EXPECT_FALSE(gave_thread_away_);
}

TEST_F(HookPointTest, CallsTheChainButWaitsForNobodyWhenTheSessionIsOver) {
  AddNative(/*says=*/1);
  AddBridge();
  Run(&source_, /*session_over=*/true);
  EXPECT_EQ(source_.asked, 1);
  EXPECT_FALSE(source_.wait_was_allowed);
  EXPECT_FALSE(gave_thread_away_);
  EXPECT_EQ(source_.settled, 1);  // this source left it open against the rules; it is closed anyway
  EXPECT_EQ(native_[1], 1);
  EXPECT_TRUE(verdict_->result_ignored);
  ASSERT_EQ(source_.verdicts.size(), 1u);
  EXPECT_TRUE(source_.verdicts[0].result_ignored);
}

TEST_F(HookPointTest, RecordsTheProviderThatComesFirstInTheChain) {
  AddNative(/*says=*/1);
  AddBridge();
  source_.settled_at_once = true;
  source_.answer = RemoteShutdown();
  Run(&source_);
  EXPECT_EQ(verdict_->cause, mail::CloseCause::kHook);
  EXPECT_EQ(verdict_->provider, "gatekeeper");
  EXPECT_EQ(verdict_->reason, "");
}

TEST_F(HookPointTest, TakesTheRemoteWordsWhenTheBridgeEndsTheSession) {
  AddNative(/*says=*/0);
  AddBridge();
  source_.settled_at_once = true;
  source_.answer = RemoteShutdown();
  Run(&source_);
  EXPECT_EQ(verdict_->provider, "limiter");
  EXPECT_EQ(verdict_->hold, absl::Seconds(3));
  EXPECT_EQ(verdict_->avoid_host, absl::ZeroDuration());
}

TEST_F(HookPointTest, IgnoresAWakeUpAfterTheEnd) {
  AddBridge();
  source_.wait = absl::Milliseconds(1);
  Run(&source_);
  source_.wake();  // the io_context is gone, too
  EXPECT_EQ(source_.settled, 1);
}

TEST_F(HookPointTest, IgnoresAWakeUpThatRunsJustAfterTheEnd) {
  AddBridge();
  source_.wait = absl::Milliseconds(1);
  source_.on_settle = [&] { source_.wake(); };
  Run(&source_);
  EXPECT_EQ(source_.settled, 1);
  EXPECT_EQ(source_.verdicts.size(), 1u);
}

TEST_F(HookPointTest, SettlesTheQuestionOfASessionThatIsCutWhileItWaits) {
  AddBridge();
  {
    asio::io_context io;
    Spawn(io, &source_);
    io.poll();
    ASSERT_EQ(source_.asked, 1);
    ASSERT_EQ(source_.settled, 0);
  }
  EXPECT_FALSE(verdict_.has_value());
  EXPECT_EQ(source_.settled, 1);
  ASSERT_EQ(source_.verdicts.size(), 1u);
  EXPECT_TRUE(source_.verdicts[0].result_ignored);
  source_.wake();
}

}  // namespace
}  // namespace postern::hooks

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "server/hooks/hook_chain.h"
#include "server/hooks/records.h"
#include "tests/unit/hooks/fixture.h"

namespace postern::hooks {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// What a provider is registered with: it says its name, and returns what it is told to.
struct Voice {
  std::vector<std::string>* heard;
  std::string name;
  int says = 0;
};

int Judge(void* closure, delivery_construct*) {
  auto* voice = static_cast<Voice*>(closure);
  voice->heard->push_back(voice->name);
  return voice->says;
}

void Observe(void* closure, domain_record*, int, timeval*, int conn_fd) {
  auto* voice = static_cast<Voice*>(closure);
  voice->heard->push_back(absl::StrCat(voice->name, conn_fd));
}

void Dawdle(void*, domain_record*, int, timeval*, int) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
  while (std::chrono::steady_clock::now() < end) {
  }
}

class ChainTest : public HooksTest {
 protected:
  int Ask() { return call_core_smtp_should_session_shutdown_hook(&construct_); }
  void Raise(int conn_fd) {
    timeval now{};
    call_core_post_initiate_connection_smtp_hook(&domain_, 0, &now, conn_fd);
  }

  std::vector<std::string> heard_;
  Voice a_{&heard_, "a"}, b_{&heard_, "b"}, c_{&heard_, "c"};
  DomainRecord domain_;
  DeliveryConstruct construct_;
};

TEST_F(ChainTest, IsEmptyAtFirstAndThenReturnsZero) {
  EXPECT_EQ(has_core_smtp_should_session_shutdown_hook(), 0);
  EXPECT_EQ(has_core_post_initiate_connection_smtp_hook(), 0);
  EXPECT_EQ(Ask(), 0);
  Raise(3);
  EXPECT_THAT(ListProviders(), IsEmpty());
  EXPECT_THAT(ListHooks(),
              ElementsAre("post_initiate_connection_smtp", "smtp_should_session_shutdown"));
}

TEST_F(ChainTest, RunsFirstAheadAndLastBehind) {
  RegisterNative("a", [&] { register_core_smtp_should_session_shutdown_hook_last(Judge, &a_); });
  RegisterNative("b", [&] { register_core_smtp_should_session_shutdown_hook_last(Judge, &b_); });
  RegisterNative("c", [&] { register_core_smtp_should_session_shutdown_hook_first(Judge, &c_); });
  EXPECT_NE(has_core_smtp_should_session_shutdown_hook(), 0);
  EXPECT_EQ(Ask(), 0);
  EXPECT_THAT(heard_, ElementsAre("c", "a", "b"));
}

TEST_F(ChainTest, RunsEveryProviderOfAVoidHook) {
  RegisterNative("a", [&] { register_core_post_initiate_connection_smtp_hook_last(Observe, &a_); });
  RegisterNative("b", [&] { register_core_post_initiate_connection_smtp_hook_last(Observe, &b_); });
  RegisterNative("c",
                 [&] { register_core_post_initiate_connection_smtp_hook_first(Observe, &c_); });
  EXPECT_NE(has_core_post_initiate_connection_smtp_hook(), 0);
  Raise(CONN_ERR_CONNECT);
  EXPECT_THAT(heard_, ElementsAre("c-10", "a-10", "b-10"));
}

TEST_F(ChainTest, StopsAtTheFirstNonZeroAndKnowsWhoSaidIt) {
  RegisterNative("a", [&] { register_core_smtp_should_session_shutdown_hook_last(Judge, &a_); });
  RegisterNative("b", [&] { register_core_smtp_should_session_shutdown_hook_last(Judge, &b_); });
  RegisterNative("c", [&] { register_core_smtp_should_session_shutdown_hook_last(Judge, &c_); });
  b_.says = -7;
  c_.says = 1;
  EXPECT_EQ(Ask(), -7);
  EXPECT_THAT(heard_, ElementsAre("a", "b"));
  ASSERT_NE(DecidingProvider(), nullptr);
  EXPECT_EQ(DecidingProvider()->name, "b");
}

TEST_F(ChainTest, CountsCallsDecisionsAndTimePerProvider) {
  RegisterNative("a", [&] { register_core_smtp_should_session_shutdown_hook_last(Judge, &a_); });
  const absl::Status bridge = RegisterServerProvider("bridge", [&] {
    register_core_smtp_should_session_shutdown_hook_last(Judge, &b_);
    register_core_post_initiate_connection_smtp_hook_last(Dawdle, nullptr);
  });
  ASSERT_TRUE(bridge.ok());
  FreezeHooks();
  Ask();
  Ask();
  a_.says = 1;
  Ask();
  Raise(3);

  const std::vector<ProviderInfo> infos = ListProviders();
  ASSERT_EQ(infos.size(), 3u);
  EXPECT_EQ(infos[0].hook, "post_initiate_connection_smtp");
  EXPECT_EQ(infos[0].provider, "bridge");
  EXPECT_EQ(infos[0].kind, ProviderKind::kBridge);
  EXPECT_EQ(infos[0].calls, 1u);
  EXPECT_GE(infos[0].slowest, absl::Milliseconds(2));
  EXPECT_EQ(infos[0].total, infos[0].slowest);
  EXPECT_EQ(infos[1].hook, "smtp_should_session_shutdown");
  EXPECT_EQ(infos[1].provider, "a");
  EXPECT_EQ(infos[1].kind, ProviderKind::kNative);
  EXPECT_EQ(infos[1].calls, 3u);
  EXPECT_EQ(infos[1].non_zero, 1u);
  EXPECT_GE(infos[1].total, infos[1].slowest);
  EXPECT_EQ(infos[2].provider, "bridge");
  EXPECT_EQ(infos[2].calls, 2u);
  EXPECT_EQ(infos[2].non_zero, 0u);
}

TEST_F(ChainTest, CountsEveryCallOfSeveralThreads) {
  static constexpr auto kSilent = [](void*, delivery_construct*) { return 0; };
  RegisterNative("a",
                 [&] { register_core_smtp_should_session_shutdown_hook_last(kSilent, nullptr); });
  FreezeHooks();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      DeliveryConstruct construct;
      for (int n = 0; n < 1000; ++n) call_core_smtp_should_session_shutdown_hook(&construct);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ListProviders()[0].calls, 4000u);
}

TEST_F(ChainTest, LogsASlowCallWithItsModule) {
  RegisterNative("sloth",
                 [&] { register_core_post_initiate_connection_smtp_hook_last(Dawdle, nullptr); });
  Raise(3);
  EXPECT_THAT(log(), HasSubstr("post_initiate_connection_smtp: provider sloth took "));
}

TEST_F(ChainTest, LogsASlowCallAgainASecondLaterAndNotBefore) {
  const Provider provider{.name = "sloth"};
  LinkBase link("some_hook", &provider);
  link.CountCall(0, 1'500'000);
  link.CountCall(0, 900'000'000);
  link.CountCall(0, 1'001'500'000);
  EXPECT_THAT(log(), HasSubstr("took 1500 us"));
  EXPECT_THAT(log(), Not(HasSubstr("took 900000 us")));
  EXPECT_THAT(log(), HasSubstr("took 1001500 us"));
}

TEST_F(ChainTest, RefusesRegistrationOutsideConfSetupAndNamesTheHook) {
  register_core_smtp_should_session_shutdown_hook_first(Judge, &a_);
  register_core_post_initiate_connection_smtp_hook_last(Observe, &a_);
  EXPECT_EQ(has_core_smtp_should_session_shutdown_hook(), 0);
  EXPECT_EQ(has_core_post_initiate_connection_smtp_hook(), 0);
  EXPECT_THAT(log(), HasSubstr("[error] hooks: registration for smtp_should_session_shutdown"));
  EXPECT_THAT(log(), HasSubstr("[error] hooks: registration for post_initiate_connection_smtp"));
}

TEST_F(ChainTest, RefusesRegistrationFromAnotherThreadDuringConfSetup) {
  RegisterNative("a", [&] {
    std::thread([&] { register_core_smtp_should_session_shutdown_hook_first(Judge, &a_); }).join();
  });
  EXPECT_EQ(has_core_smtp_should_session_shutdown_hook(), 0);
}

TEST_F(ChainTest, RefusesANullPointer) {
  RegisterNative("a",
                 [] { register_core_smtp_should_session_shutdown_hook_last(nullptr, nullptr); });
  EXPECT_EQ(has_core_smtp_should_session_shutdown_hook(), 0);
  EXPECT_THAT(log(), HasSubstr("by a refused: a null pointer"));
}

TEST_F(ChainTest, RefusesServerProvidersOnceFrozenAndNamesTakenTwice) {
  ASSERT_TRUE(RegisterServerProvider("bridge", [] {}).ok());
  EXPECT_EQ(RegisterServerProvider("bridge", [] {}).code(), absl::StatusCode::kAlreadyExists);
  FreezeHooks();
  bool ran = false;
  EXPECT_EQ(RegisterServerProvider("other", [&] { ran = true; }).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(ran);
}

TEST(AccessorsTest, ProbableMessageIsTheHeadOfTheQueueOfThisBinding) {
  ec_message head{};
  head.binding_slot = 4;
  DomainRecord domain;
  EXPECT_EQ(ec_probable_message(&domain, 4), nullptr);
  domain.probable_message = &head;
  EXPECT_EQ(ec_probable_message(&domain, 4), &head);
  EXPECT_EQ(ec_probable_message(&domain, 5), nullptr);
}

TEST(AccessorsTest, WalksAllRecipients) {
  const char* const all[] = {"a@x", "b@x"};
  ec_message message{};
  message._rcptto = all[0];
  EXPECT_STREQ(ec_message_recipient(&message, 0), "a@x");
  EXPECT_EQ(ec_message_recipient(&message, 1), nullptr);
  message._recipients = all;
  message._recipient_count = 2;
  EXPECT_STREQ(ec_message_recipient(&message, 1), "b@x");
  EXPECT_EQ(ec_message_recipient(&message, 2), nullptr);
  EXPECT_EQ(ec_message_recipient(&message, -1), nullptr);
}

TEST(AccessorsTest, WordsAreBoundedAndTheLastCounts) {
  DeliveryConstruct construct;
  delivery_construct_hold(&construct, 5);
  delivery_construct_avoid_host(&construct, 999'999);
  EXPECT_EQ(construct.hold, absl::Seconds(5));
  EXPECT_EQ(construct.avoid_host, absl::Hours(1));
  delivery_construct_hold(&construct, -1);
  EXPECT_EQ(construct.hold, absl::ZeroDuration());
}

}  // namespace
}  // namespace postern::hooks

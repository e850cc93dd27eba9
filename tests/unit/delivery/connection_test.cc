#include "server/delivery/connection.h"

#include <cerrno>

#include "tests/unit/delivery/fixture.h"

namespace postern::delivery {
namespace {

using Lines = std::vector<std::string>;
using ConnectionTest = DeliveryTest;

int NoSocket(int, int, int) {
  errno = EMFILE;
  return -1;
}

int NoOption(int, int, int, const void*, socklen_t) {
  errno = EPERM;
  return -1;
}

TEST_F(ConnectionTest, TheHookIsToldThatThereIsNoSocket) {
  const net::SocketCalls calls{NoSocket, ::setsockopt};
  context_.socket_calls = &calls;
  clock_.Stop();  // within one period
  Start();
  Submit({"r@a.test"});
  EXPECT_EQ(WaitEvents(1), (Lines{"a.test: SOCKET"}));
  dispatcher_->Stop();
}

TEST_F(ConnectionTest, TheHookIsToldThatAnOptionCannotBeSet) {
  const net::SocketCalls calls{::socket, NoOption};
  context_.socket_calls = &calls;
  options_.at("default").bind_ipv4 = "127.0.0.1";
  clock_.Stop();  // within one period
  Start();
  Submit({"r@a.test"});
  EXPECT_EQ(WaitEvents(1), (Lines{"a.test: IOCTL"}));
  dispatcher_->Stop();
}

TEST_F(ConnectionTest, AMissingSourceAddressIsToldOnceForAllQueuesOfItsBinding) {
  options_.at("far") = options_.at("default");
  options_.at("far").bind_ipv4 = "198.51.100.1";
  clock_.Stop();  // within one period
  Start();
  Submit({"r@a.test"}, "far");
  EXPECT_EQ(WaitEvents(1), (Lines{"a.test: BIND"}));
  Submit({"r@b.test"}, "far");
  const QueueInfo queue = WaitQueue("b.test", [](const QueueInfo& info) {
    return info.waiting_for == mail::RequeueReason::kLocalFault;
  });
  ASSERT_NE(queue.last_failure, nullptr);
  EXPECT_NE(queue.last_failure->text.find("Cannot assign requested address"), std::string::npos);
  // The host is not to blame, and other bindings go there.
  EXPECT_EQ(context_.hosts.backed_off(clock_.Steady()), 0U);
  Submit({"r@c.test"});
  EXPECT_EQ(WaitEvents(2), (Lines{"a.test: BIND", "c.test: NONE"}));
}

TEST_F(ConnectionTest, ABindingIsTriedAgainWhenItsPeriodIsOver) {
  const net::SocketCalls calls{NoSocket, ::setsockopt};
  context_.socket_calls = &calls;
  Start();
  Submit({"r@a.test"});
  // One for each period, of one second and then of two; on a slow machine a third is over, too.
  Lines lines = WaitEvents(2);
  lines.resize(2);
  EXPECT_EQ(lines, (Lines{"a.test: SOCKET", "a.test: SOCKET"}));
  dispatcher_->Stop();
}

}  // namespace
}  // namespace postern::delivery

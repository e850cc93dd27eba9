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
  Start();
  Submit({"r@a.test"});
  EXPECT_EQ(WaitEvents(1), (Lines{"a.test: SOCKET"}));
  dispatcher_->Stop();
}

TEST_F(ConnectionTest, TheHookIsToldThatAnOptionCannotBeSet) {
  const net::SocketCalls calls{::socket, NoOption};
  context_.socket_calls = &calls;
  options_.at("default").bind_ipv4 = "127.0.0.1";
  Start();
  Submit({"r@a.test"});
  EXPECT_EQ(WaitEvents(1), (Lines{"a.test: IOCTL"}));
  dispatcher_->Stop();
}

}  // namespace
}  // namespace postern::delivery

#include "server/base/notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace postern::base {
namespace {

TEST(NotifyManager, SaysNothingWithoutAManager) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(NotifyManager("READY=1"));
  setenv("NOTIFY_SOCKET", "relative", 1);
  EXPECT_FALSE(NotifyManager("READY=1"));
  setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
  EXPECT_FALSE(NotifyManager("READY=1"));
  setenv("NOTIFY_SOCKET", std::string(200, '/').c_str(), 1);
  EXPECT_FALSE(NotifyManager("READY=1"));
  unsetenv("NOTIFY_SOCKET");
}

TEST(NotifyManager, SendsOneDatagramToTheSocketOfTheManager) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  ASSERT_GE(fd, 0);
  // Autobind (unix(7)): a free name in the abstract namespace.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string name(address.sun_path + 1, size - sizeof(sa_family_t) - 1);
  setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);

  EXPECT_TRUE(NotifyManager("READY=1"));
  char buffer[64];
  const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
  ASSERT_GT(got, 0);
  EXPECT_EQ(std::string(buffer, static_cast<std::size_t>(got)), "READY=1");
  unsetenv("NOTIFY_SOCKET");
  close(fd);
}

}  // namespace
}  // namespace postern::base

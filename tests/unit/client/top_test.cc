#include "client/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postern::client {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::Queue MakeQueue(const std::string& domain, std::uint64_t active) {
  v1::Queue queue;
  queue.set_domain(domain);
  queue.mutable_binding()->set_name("default");
  queue.set_active(active);
  return queue;
}

TEST(TopTest, CountsEventsByWhatTheySay) {
  Rates rates;
  v1::Event event;
  event.mutable_delivery_attempt()->add_recipients()->set_disposition(v1::DISPOSITION_DELIVERED);
  event.mutable_delivery_attempt()->add_recipients()->set_disposition(v1::DISPOSITION_DEFERRED);
  Count(event, rates);
  event.mutable_verdict()->set_decision(v1::DECISION_SHUTDOWN);
  Count(event, rates);
  event.mutable_post_initiate_connection_smtp()->set_conn_fd(7);
  Count(event, rates);
  event.mutable_post_initiate_connection_smtp()->set_error(v1::CONN_ERROR_CONNECT);
  Count(event, rates);
  EXPECT_EQ(rates.delivered, 1U);
  EXPECT_EQ(rates.deferred, 1U);
  EXPECT_EQ(rates.shutdowns, 1U);
  EXPECT_EQ(rates.opened, 1U);
  EXPECT_EQ(rates.refused, 1U);
}

TEST(TopTest, PutsTheQueuesWithMostMailFirstAndSumsThemUp) {
  Screen screen;
  screen.queues = {MakeQueue("few.test", 1), MakeQueue("many.test", 9)};
  screen.rates.seconds = 2;
  screen.rates.delivered = 5;
  const std::string text = Draw(screen, "server:1", 120, 40, false);
  EXPECT_THAT(text, HasSubstr("2 queues, 10 rows active"));
  EXPECT_THAT(text, HasSubstr("2.5 delivered"));
  EXPECT_LT(text.find("many.test"), text.find("few.test"));
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

TEST(TopTest, SaysWhyRatesAreNotKnownInsteadOfShowingNone) {
  Screen screen;
  screen.rates.seconds = 1;
  screen.no_events = "Watch ended: PERMISSION_DENIED: watch";
  const std::string text = Draw(screen, "server:1", 120, 40, false);
  EXPECT_THAT(text, HasSubstr("per second: not known: Watch ended: PERMISSION_DENIED: watch\n"));
  EXPECT_THAT(text, Not(HasSubstr("0.0 delivered")));
}

TEST(TopTest, FitsTheTerminal) {
  Screen screen;
  for (int i = 0; i < 100; ++i) {
    screen.queues.push_back(MakeQueue(std::string(50, 'x') + std::to_string(i), 1));
  }
  const std::string text = Draw(screen, "server:1", 40, 20, false);
  std::size_t lines = 0;
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    EXPECT_LE(end - begin, 40U);
    begin = end + 1;
    ++lines;
  }
  EXPECT_LT(lines, 20U);
}

}  // namespace
}  // namespace postern::client

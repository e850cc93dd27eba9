#include "client/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <tuple>

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

// A list of so many pages, one queue on each.
struct PagedQueues {
  int pages;
  int asked = 0;

  grpc::Status operator()(const v1::ListQueuesRequest& request, v1::ListQueuesResponse* answer) {
    EXPECT_EQ(request.page_token(), asked == 0 ? "" : std::to_string(asked));
    answer->add_queues()->set_domain(std::to_string(asked));
    if (++asked < pages) answer->set_next_page_token(std::to_string(asked));
    return grpc::Status::OK;
  }
};

TEST(TopTest, FollowsThePagesOfAListAsFarAsTheyBearLookingAt) {
  for (const auto& [pages, asked, more] : {std::tuple{1, 1, false},
                                           {3, 3, false},
                                           {kMostPages, kMostPages, false},
                                           {kMostPages + 1, kMostPages, true}}) {
    PagedQueues list{pages};
    std::vector<std::string> seen;
    bool cut = false;
    const grpc::Status status = ForEachPage<v1::ListQueuesResponse>(
        v1::ListQueuesRequest(), std::ref(list),
        [&](const auto& answer) { seen.push_back(answer.queues(0).domain()); }, &cut);
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(list.asked, asked);
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(asked));
    EXPECT_EQ(cut, more) << pages;
  }
  bool cut = false;
  const auto refuse = [](const auto&, auto*) { return grpc::Status(grpc::UNAVAILABLE, "gone"); };
  EXPECT_FALSE(ForEachPage<v1::ListQueuesResponse>(
                   v1::ListQueuesRequest(), refuse, [](const auto&) { FAIL(); }, &cut)
                   .ok());
}

TEST(TopTest, SaysWhenThereIsMoreThanItHasCounted) {
  Screen screen;
  screen.queues.assign(20, MakeQueue("a.test", 1));
  screen.connections.resize(7);
  EXPECT_THAT(Draw(screen, "server:1", 120, 40, false),
              HasSubstr("20 queues, 20 rows active, 0 delayed, 7 connections\n"));
  screen.more_queues = screen.more_connections = true;
  EXPECT_THAT(Draw(screen, "server:1", 120, 40, false),
              HasSubstr("20+ queues, 20+ rows active, 0+ delayed, 7+ connections\n"));
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

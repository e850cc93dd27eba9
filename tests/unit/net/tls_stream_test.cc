#include "server/net/tls_stream.h"

#include <gtest/gtest.h>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>
#include <future>
#include <string>
#include <vector>

#include "server/net/connector.h"
#include "tests/unit/net/run.h"
#include "tests/unit/net/tls_server.h"

namespace postern::net {
namespace {

std::shared_ptr<TlsContext> Context(TlsSettings::Verify verify = TlsSettings::Verify::kNo) {
  TlsSettings settings;
  settings.verify = verify;
  return *TlsContext::Create(settings);
}

asio::awaitable<std::unique_ptr<TlsStream>> Dial(asio::ip::tcp::endpoint to,
                                                 std::shared_ptr<TlsContext> context,
                                                 TlsHandshake* done) {
  ConnectResult result = co_await Connect(to, std::nullopt, absl::Seconds(10));
  auto stream =
      std::make_unique<TlsStream>(std::move(result.stream), std::move(context), "mx.example");
  *done = co_await stream->Handshake();
  co_return stream;
}

asio::awaitable<std::string> Read(Stream& stream, std::size_t size) {
  std::string all;
  while (all.size() < size) {
    char buffer[4096];
    const IoResult read = co_await stream.ReadSome(buffer, sizeof buffer);
    all.append(buffer, read.bytes);
    if (!read.ok()) break;
  }
  co_return all;
}

TEST(TlsStreamTest, ShakesHandsAndMovesBytesBothWays) {
  TlsServer server(1, [](TlsServer::Session& peer) {
    std::string said;
    while (said.size() < 12) said += peer.Read(100);
    peer.Write("greetings, " + said);
    peer.Read(1);
  });
  asio::io_context io;
  RunToEnd(io, [](asio::ip::tcp::endpoint to) -> asio::awaitable<void> {
    TlsHandshake done;
    auto stream = co_await Dial(to, Context(), &done);
    EXPECT_EQ(done.error, "");
    EXPECT_EQ(done.version, "TLSv1.3");
    EXPECT_FALSE(done.cipher.empty());
    EXPECT_FALSE(done.verified);  // nobody knows who signed it
    const IoResult written = co_await stream->WriteAll("hello", ", world");
    EXPECT_TRUE(written.ok());
    EXPECT_EQ(written.bytes, 12u);
    const std::string reply = co_await Read(*stream, 23);
    EXPECT_EQ(reply, "greetings, hello, world");
    stream->Close();
    char byte = 0;
    const IoResult after = co_await stream->ReadSome(&byte, 1);
    EXPECT_FALSE(after.ok());
  }(server.endpoint()));
}

TEST(TlsStreamTest, SaysFarewellWhenItCloses) {
  std::promise<bool> closed_well;
  TlsServer server(1, [&](TlsServer::Session& peer) {
    peer.Write("x");
    peer.Read(1);
    closed_well.set_value(peer.closed_well());
  });
  asio::io_context io;
  RunToEnd(io, [](asio::ip::tcp::endpoint to) -> asio::awaitable<void> {
    TlsHandshake done;
    auto stream = co_await Dial(to, Context(), &done);
    // What is left unread at the close would make it a reset.
    const std::string read = co_await Read(*stream, 1);
    EXPECT_EQ(read, "x");
    stream->Close();
  }(server.endpoint()));
  EXPECT_TRUE(closed_well.get_future().get());
}

TEST(TlsStreamTest, RefusesACertificateThatNobodyVouchesFor) {
  for (const auto verify : {TlsSettings::Verify::kCa, TlsSettings::Verify::kHost}) {
    TlsServer server(1, [](TlsServer::Session&) {});
    asio::io_context io;
    RunToEnd(io, [](asio::ip::tcp::endpoint to, TlsSettings::Verify how) -> asio::awaitable<void> {
      TlsHandshake done;
      auto stream = co_await Dial(to, Context(how), &done);
      EXPECT_EQ(done.error, "TLS: certificate: self-signed certificate");
    }(server.endpoint(), verify));
  }
}

TEST(TlsStreamTest, ResumesWithTheTicketOfTheLastSession) {
  std::vector<bool> resumed;
  TlsServer server(3, [&](TlsServer::Session& peer) {
    resumed.push_back(peer.resumed());
    peer.Write("x");  // the tickets come before it
    peer.Read(1);
  });
  asio::io_context io;
  const auto context = Context();
  RunToEnd(
      io,
      [](asio::ip::tcp::endpoint to, std::shared_ptr<TlsContext> shared) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
          TlsHandshake done;
          auto stream = co_await Dial(to, shared, &done);
          EXPECT_EQ(done.resumed, i > 0);
          const std::string read = co_await Read(*stream, 1);
          EXPECT_EQ(read, "x");
          stream->Close();
        }
      }(server.endpoint(), context));
  EXPECT_EQ(resumed, (std::vector<bool>{false, true, true}));
}

TEST(TlsStreamTest, WritesMoreThanTheNetworkTakesAtOnce) {
  const std::string much(4 << 20, 'x');
  std::atomic<std::size_t> received{0};
  TlsServer server(1, [&](TlsServer::Session& peer) {
    while (received < much.size()) {
      const std::string part = peer.Read(16384);
      if (part.empty()) break;
      received += part.size();
    }
    peer.Write("done");
  });
  asio::io_context io;
  RunToEnd(io, [](asio::ip::tcp::endpoint to, const std::string* all) -> asio::awaitable<void> {
    TlsHandshake done;
    auto stream = co_await Dial(to, Context(), &done);
    const IoResult written = co_await stream->WriteAll(*all, "");
    EXPECT_TRUE(written.ok());
    EXPECT_EQ(written.bytes, all->size());
    const std::string reply = co_await Read(*stream, 4);
    EXPECT_EQ(reply, "done");
  }(server.endpoint(), &much));
  EXPECT_EQ(received, much.size());
}

// A session ticket makes the socket readable although there is nothing to be read.
TEST(TlsStreamTest, ATicketIsNoDataToBeNotifiedOf) {
  TlsServer server(1, [&](TlsServer::Session& peer) {
    peer.Write("a");
    peer.SendTicket();
    peer.Read(1);  // the client has looked at the ticket by now
    peer.Write("b");
    peer.Read(1);
  });
  asio::io_context io;
  RunToEnd(io, [](asio::ip::tcp::endpoint to) -> asio::awaitable<void> {
    TlsHandshake done;
    auto stream = co_await Dial(to, Context(), &done);
    const std::string first = co_await Read(*stream, 1);
    EXPECT_EQ(first, "a");
    std::error_code error = co_await stream->WaitReadable();  // the ticket
    EXPECT_FALSE(error);
    int calls = 0;
    stream->NotifyReadable([&calls] { ++calls; });
    // Turns of the loop in which the ticket is taken; then the server is told to go on.
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 10; ++i) co_await asio::post(executor, asio::use_awaitable);
    EXPECT_EQ(calls, 0);
    co_await stream->WriteAll("!", "");
    while (calls == 0) co_await asio::post(executor, asio::use_awaitable);
    EXPECT_EQ(calls, 1);
    const std::string second = co_await Read(*stream, 1);
    EXPECT_EQ(second, "b");
    stream->Close();
  }(server.endpoint()));
}

TEST(TlsStreamTest, NotifiesOfWhatWasDecryptedAlready) {
  TlsServer server(1, [&](TlsServer::Session& peer) {
    peer.Write("two");
    peer.Read(1);
  });
  asio::io_context io;
  RunToEnd(io, [](asio::ip::tcp::endpoint to) -> asio::awaitable<void> {
    TlsHandshake done;
    auto stream = co_await Dial(to, Context(), &done);
    char byte = 0;
    const IoResult read = co_await stream->ReadSome(&byte, 1);
    EXPECT_EQ(read.bytes, 1u);
    int calls = 0;
    stream->NotifyReadable([&calls] { ++calls; });
    EXPECT_EQ(calls, 0);  // never from within
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    while (calls == 0) co_await asio::post(executor, asio::use_awaitable);
    const std::string rest = co_await Read(*stream, 2);
    EXPECT_EQ(rest, "wo");
    stream->NotifyReadable([&calls] { ++calls; });
    stream->CancelNotify();
    stream->Close();
    co_await asio::post(executor, asio::use_awaitable);
    EXPECT_EQ(calls, 1);
  }(server.endpoint()));
}

TEST(TlsStreamTest, CloseEndsAHandshakeUnderWay) {
  asio::io_context io;
  asio::ip::tcp::acceptor silent(io, {asio::ip::address_v4::loopback(), 0});
  RunToEnd(io, [](asio::ip::tcp::endpoint to) -> asio::awaitable<void> {
    ConnectResult result = co_await Connect(to, std::nullopt, absl::Seconds(10));
    TlsStream stream(std::move(result.stream), Context(), "mx.example");
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    asio::post(executor, [&stream] { stream.Close(); });
    const TlsHandshake done = co_await stream.Handshake();
    EXPECT_NE(done.error, "");
  }(silent.local_endpoint()));
}

TEST(TlsContextTest, NamesTheFileThatIsNoCertificate) {
  TlsSettings settings;
  settings.certificate_file = settings.key_file = "/nonexistent/certificate";
  const auto context = TlsContext::Create(settings);
  EXPECT_EQ(context.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(context.status().message(), "/nonexistent/certificate: No such file or directory");
}

TEST(TlsContextTest, IsMadeOnceForEqualSettingsOfOneGeneration) {
  TlsContexts contexts;
  TlsSettings settings;
  const auto first = *contexts.Get(settings, 1);
  EXPECT_EQ(*contexts.Get(settings, 1), first);
  settings.only_13 = true;
  EXPECT_NE(*contexts.Get(settings, 1), first);
  settings.only_13 = false;
  EXPECT_NE(*contexts.Get(settings, 2), first);
}

TEST(TlsContextTest, KeepsTicketsOfSoManyPeers) {
  const auto context = Context();
  for (std::size_t i = 0; i <= TlsContext::kMaxTickets; ++i) {
    context->Keep(std::to_string(i), SSL_SESSION_new());
  }
  EXPECT_EQ(context->TicketOf("0"), nullptr);
  EXPECT_NE(context->TicketOf("1"), nullptr);
  ssl_session_st* newer = SSL_SESSION_new();
  context->Keep("1", newer);
  EXPECT_EQ(context->TicketOf("1"), newer);
  context->Drop("1");
  EXPECT_EQ(context->TicketOf("1"), nullptr);
}

}  // namespace
}  // namespace postern::net

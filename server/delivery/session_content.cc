// Session from DATA to the final dot: the mark in the spool, the content, and what keeps them.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/delivery/scheduler.h"
#include "server/delivery/session.h"
#include "server/net/await.h"

namespace postern::delivery {
namespace {

using Want = smtp::ClientDialogue::Want;

// How long a transaction waits before its content for a disk that takes no writes.
constexpr auto kRecordPatience = std::chrono::seconds(10);
// For room in memory, after DATA: receivers wait for 5 minutes (RFC 5321 4.5.3.2.7).
constexpr auto kContentPatience = std::chrono::minutes(1);

}  // namespace

asio::awaitable<bool> Session::WaitWritten(spool::Ticket ticket) {
  if (context_.spool.IsWritten(ticket)) co_return true;
  auto timer = std::make_shared<asio::steady_timer>(pair_.scheduler().io(), kRecordPatience);
  asio::io_context& io = pair_.scheduler().io();
  context_.spool.WhenWritten(ticket,
                             [timer, &io] { asio::post(io, [timer] { timer->cancel(); }); });
  const auto [woken] = co_await timer->async_wait(net::kAsTuple);
  co_return woken || context_.spool.IsWritten(ticket);
}

void Session::Break(std::string why) {
  spool_failed_ = true;
  lost_ = std::move(why);
  stream_->Close();
  dialogue_.ConnectionLost();
}

asio::awaitable<ContentStore::Content> Session::BorrowContent(const mail::Row& row) {
  if (cause_.has_value()) co_return nullptr;  // it was cut while it waited for the mark
  asio::io_context& io = pair_.scheduler().io();
  auto timer = std::make_shared<asio::steady_timer>(io, kContentPatience);
  content_wait_ = timer;
  std::function<void()> wake = [timer, &io] { asio::post(io, [timer] { timer->cancel(); }); };
  auto loan = context_.contents.Borrow(row.message_id, row.content_bytes, std::move(wake));
  if (!loan->granted()) co_await timer->async_wait(net::kAsTuple);
  if (cause_.has_value()) co_return nullptr;  // it was cut meanwhile
  if (!loan->granted()) {
    content_status_ = absl::UnavailableError("no room in memory: other large contents are sent");
    co_return nullptr;
  }
  auto content = context_.contents.Load(std::move(loan));
  content_status_ = content.status();
  if (!content.ok()) co_return nullptr;
  co_return *std::move(content);
}

asio::awaitable<void> Session::SendContent(ContentStore::Content content) {
  constexpr std::size_t kChunk = smtp::ClientDialogue::kContentChunkBytes;
  const std::size_t size = content->size();
  absl::string_view rest = *content;
  while (dialogue_.want() == Want::kSendContent) {
    const absl::string_view chunk = rest.substr(0, kChunk);
    rest.remove_prefix(chunk.size());
    dialogue_.AppendContent(chunk);
    if (rest.empty()) {
      dialogue_.FinishContent();
      rest = {};
      content.reset();  // the wait for the last reply may be long
    }
    co_await Pump();
  }
  bytes_ += size - rest.size();
}

asio::awaitable<void> Session::Exchange(queue::QueuedRow& row, const smtp::Transaction& transaction,
                                        const std::vector<std::size_t>& offered,
                                        ContentStore::Content content) {
  context_.metrics.in_transaction.Add(1);
  message_expired_ = false;
  expires_steady_ = context_.clock.Steady() + (row.row.expires - context_.clock.Now());
  const spool::Ticket mark = context_.spool.MarkAttempt(row.row, offered);
  dialogue_.Begin(transaction);
  co_await Pump();
  if (dialogue_.want() == Want::kSendContent) {
    phase_ = "spool";
    const bool recorded = co_await WaitWritten(mark);
    if (recorded && content == nullptr) content = co_await BorrowContent(row.row);
    if (!recorded) {
      Break("the spool cannot record the attempt");
    } else if (content == nullptr) {
      Break(absl::StrCat("no content to send: ", content_status_.message()));
    } else {
      co_await SendContent(std::move(content));
    }
  }
  expires_steady_ = absl::InfiniteFuture();
  context_.metrics.in_transaction.Add(-1);
}

}  // namespace postern::delivery

#include "server/delivery/messages.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace postern::delivery {
namespace {

bool Matches(const std::vector<mail::Row>& rows, const MessageSource::Query& query) {
  if (query.submitter.has_value() && rows.front().submitter != *query.submitter) return false;
  return std::any_of(rows.begin(), rows.end(), [&](const mail::Row& row) {
    if (!query.domain.empty() && row.pair->domain != query.domain) return false;
    if (!query.binding.empty() && row.pair->binding != query.binding) return false;
    if (query.states.empty()) return true;
    return std::any_of(row.recipients.begin(), row.recipients.end(), [&](const auto& recipient) {
      return std::find(query.states.begin(), query.states.end(), recipient.disposition) !=
             query.states.end();
    });
  });
}

}  // namespace

void SpoolMessages::AddRow(mail::Row row, MessageView& view) const {
  AddTrouble(row);
  if (!row.final() && context_.open_rows.Contains(row)) view.in_session.push_back(row.index);
  view.rows.push_back(std::move(row));
}

void SpoolMessages::AddTrouble(mail::Row& row) const {
  if (row.final()) return;
  if (row.next_attempt == absl::InfiniteFuture()) return;  // it waits for an operator itself
  const auto options = context_.options.ForPair(row.pair->domain, row.pair->binding);
  if (const std::optional<mail::Hold> hold = context_.holds.Find(*row.pair, *options)) {
    // The row keeps its dispositions: to be held up is no attempt.
    row.next_attempt = std::max(row.next_attempt, hold->until);
    row.reason = hold->requeue_reason();
    return;
  }
  const std::optional<PairTrouble> trouble = context_.board.Find(*row.pair);
  if (!trouble.has_value() || trouble->until <= row.next_attempt) return;
  row.next_attempt = trouble->until;
  row.reason = trouble->reason;
  for (mail::Recipient& recipient : row.recipients) {
    if (IsFinal(recipient.disposition)) continue;
    recipient.disposition = mail::Disposition::kDeferred;
    if (trouble->reply != nullptr) recipient.last_reply = trouble->reply;
  }
}

absl::StatusOr<MessageView> SpoolMessages::Get(const base::Id& message_id) {
  // The history first: a message that is finished is there before it leaves the spool.
  if (auto finished = context_.history.Find(message_id, context_.clock.Now())) {
    return MessageView{*std::move(finished), {}};
  }
  absl::StatusOr<std::vector<mail::Row>> rows = context_.spool.ReadRows(message_id);
  if (!rows.ok()) {
    // It may have been finished between the two looks.
    if (auto finished = context_.history.Find(message_id, context_.clock.Now())) {
      return MessageView{*std::move(finished), {}};
    }
    if (!absl::IsNotFound(rows.status())) return rows.status();
    return absl::NotFoundError(absl::StrCat("message_id: no message ", message_id.ToString(),
                                            " (finished ones are kept for 15 minutes)"));
  }
  MessageView view;
  for (mail::Row& row : *rows) AddRow(std::move(row), view);
  return view;
}

absl::StatusOr<MessageSource::Page> SpoolMessages::List(const Query& query) {
  const auto limit = static_cast<std::size_t>(std::max(query.page_size, 1));
  // One more than the page tells whether there is another one.
  std::map<base::Id, MessageView> found;
  MessageView current;
  const auto take = [&] {
    if (!current.rows.empty() && Matches(current.rows, query)) {
      const base::Id id = current.rows.front().message_id;
      found.emplace(id, std::move(current));
    }
    current = {};
    return found.size() <= limit;
  };
  absl::Status status = context_.spool.ForEachRow(query.after, [&](mail::Row row) {
    if (!current.rows.empty() && current.rows.front().message_id != row.message_id && !take()) {
      return false;
    }
    AddRow(std::move(row), current);
    return true;
  });
  if (!status.ok()) return status;
  take();
  for (auto& rows : context_.history.After(query.after, SIZE_MAX, context_.clock.Now())) {
    if (Matches(rows, query)) {
      const base::Id id = rows.front().message_id;
      found.insert_or_assign(id, MessageView{std::move(rows), {}});
    }
  }
  Page page;
  for (auto& [id, view] : found) {
    if (page.messages.size() == limit) {
      page.next = page.messages.back().rows.front().message_id;
      break;
    }
    page.messages.push_back(std::move(view));
  }
  return page;
}

}  // namespace postern::delivery

#include "server/delivery/messages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace postern::delivery {
namespace {

// Behind a gateway the queue has the gateway's name, and its rows are for several domains.
bool IsFor(const mail::Row& row, const std::string& domain) {
  if (row.pair->domain == domain) return true;
  return std::any_of(row.recipients.begin(), row.recipients.end(), [&](const auto& recipient) {
    const absl::string_view address = recipient.address;
    return absl::EqualsIgnoreCase(address.substr(address.rfind('@') + 1), domain);
  });
}

bool Matches(const std::vector<mail::Row>& rows, const MessageSource::Query& query) {
  if (query.submitter.has_value() && rows.front().submitter != *query.submitter) return false;
  return std::any_of(rows.begin(), rows.end(), [&](const mail::Row& row) {
    if (!query.domain.empty() && !IsFor(row, query.domain)) return false;
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
  if (!row.final() && context_.open_rows.Contains(row)) {
    view.in_session.push_back(row.index);
  } else {
    AddTrouble(row);
  }
  if (row.next_attempt <= context_.clock.Now()) row.next_attempt = absl::InfinitePast();
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
  if (trouble->reply == nullptr) return;  // it waits for a place: nobody has refused it
  for (mail::Recipient& recipient : row.recipients) {
    if (IsFinal(recipient.disposition)) continue;
    recipient.disposition = mail::Disposition::kDeferred;
    recipient.last_reply = trouble->reply;
  }
}

absl::StatusOr<MessageView> SpoolMessages::Get(const base::Id& message_id, History history) {
  // A message goes from the queues to the history in one write, so it is found in one of them if
  // the queues are asked first.
  MessageView view;
  absl::StatusOr<std::vector<mail::Row>> rows = context_.spool.ReadRows(message_id);
  const bool queued = rows.ok();
  if (absl::IsNotFound(rows.status())) rows = context_.spool.ReadFinished(message_id);
  if (absl::IsNotFound(rows.status())) {
    return absl::NotFoundError(absl::StrCat("message_id: no message ", message_id.ToString(),
                                            " (finished ones are kept for a while only)"));
  }
  if (!rows.ok()) return rows.status();
  if (queued) {
    for (mail::Row& row : *rows) AddRow(std::move(row), view);
  } else {
    view.rows = *std::move(rows);
  }
  if (history == History::kNo) return view;
  absl::StatusOr<std::vector<spool::OutcomeRecord>> records =
      context_.spool.ReadHistory(message_id);
  if (absl::IsNotFound(records.status())) return view;
  if (!records.ok()) return records.status();
  view.history = *std::move(records);
  return view;
}

absl::StatusOr<base::Id> SpoolMessages::AddQueued(const Query& query, std::size_t limit,
                                                  Found& found) {
  MessageView current;
  const auto take = [&] {
    if (!current.rows.empty() && Matches(current.rows, query)) {
      const base::Id id = current.rows.front().message_id;
      found.emplace(id, std::move(current));
    }
    current = {};
    return found.size() < limit;
  };
  base::Id after = query.after;
  for (std::size_t looked_at = 0; looked_at < bounds_.most;) {
    std::size_t rows = 0;
    bool more = false;
    const absl::Status status = context_.spool.ForEachRow(after, [&](mail::Row row) {
      if (!current.rows.empty() && current.rows.front().message_id != row.message_id) {
        if (!take()) return false;
        more = rows >= bounds_.piece;
        if (more) return false;
      }
      ++rows;
      after = row.message_id;
      AddRow(std::move(row), current);
      return true;
    });
    if (!status.ok()) return status;
    if (!more) {
      take();
      return base::Id{};
    }
    looked_at += rows;
  }
  return after;
}

absl::StatusOr<base::Id> SpoolMessages::AddFinished(const Query& query, std::size_t limit,
                                                    Found& found) {
  base::Id after = query.after;
  std::size_t matches = 0;
  for (std::size_t looked_at = 0; looked_at < bounds_.most; looked_at += bounds_.piece) {
    absl::StatusOr<base::Id> next =
        context_.spool.ForEachFinished(after, bounds_.piece, [&](std::vector<mail::Row> rows) {
          if (Matches(rows, query)) {
            const base::Id id = rows.front().message_id;
            // What was found in a queue a moment ago has been finished since.
            found.insert_or_assign(id, MessageView{std::move(rows), {}});
            ++matches;
          }
          return matches < limit;
        });
    if (!next.ok() || next->empty()) return next;
    after = *next;
  }
  return after;
}

absl::StatusOr<MessageSource::Page> SpoolMessages::List(const Query& query) {
  const auto limit = static_cast<std::size_t>(std::max(query.page_size, 1));
  // One more than the page tells whether there is another one.
  Found found;
  absl::StatusOr<base::Id> cut = AddQueued(query, limit + 1, found);
  if (!cut.ok()) return cut.status();
  if (query.states.empty() ||
      std::any_of(query.states.begin(), query.states.end(), mail::IsFinal)) {
    const absl::StatusOr<base::Id> stopped_at = AddFinished(query, limit + 1, found);
    if (!stopped_at.ok()) return stopped_at.status();
    if (cut->empty() || (!stopped_at->empty() && *stopped_at < *cut)) cut = *stopped_at;
  }
  Page page;
  for (auto& [id, view] : found) {
    // Behind the cut there may be others that come first.
    if (!cut->empty() && id > *cut) break;
    if (page.messages.size() == limit) {
      page.next = page.messages.back().rows.front().message_id;
      return page;
    }
    page.messages.push_back(std::move(view));
  }
  page.next = *cut;
  return page;
}

}  // namespace postern::delivery

#include "server/delivery/operator.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/delivery/pair.h"
#include "server/delivery/routing.h"
#include "server/delivery/session.h"
#include "server/mail/address.h"

namespace postern::delivery {
namespace {

constexpr auto kWriteWait = std::chrono::seconds(5);
// Rows that one turn of a scheduler's loop looks at.
constexpr std::size_t kRowsInTurn = 500;

std::string DomainOf(const mail::Row& row) {
  const std::string& address = row.recipients.front().address;
  return address.substr(address.rfind('@') + 1);
}

// The addresses as rows hold them. INVALID_ARGUMENT: not an address, or not one of the message.
absl::StatusOr<std::vector<std::string>> FindRecipients(
    const MessageView& message, const std::vector<std::string>& recipients) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    const absl::StatusOr<mail::Address> address = mail::ParseAddress(recipients[i]);
    if (!address.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("recipients[", i, "]: ", address.status().message()));
    }
    found.push_back(absl::StrCat(address->local, "@", address->domain));
    const bool known =
        std::any_of(message.rows.begin(), message.rows.end(), [&](const mail::Row& row) {
          return std::any_of(row.recipients.begin(), row.recipients.end(),
                             [&](const auto& r) { return r.address == found.back(); });
        });
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("recipients[", i, "]: ", found.back(), " is not one of the message's"));
    }
  }
  return found;
}

}  // namespace

absl::Status Operator::CheckBinding(const mail::Scope& scope) {
  if (scope.binding.empty() || context_.options.KnowsBinding(scope.binding)) {
    return absl::OkStatus();
  }
  // One that has left the configuration, and some of what was under it is still here.
  for (const mail::Hold& hold : context_.holds.All()) {
    if (hold.scope.binding == scope.binding) return absl::OkStatus();
  }
  if (ForEachPair({"*", scope.binding}, [](Pair&) {}) > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("scope.binding: \"", scope.binding, "\" is not configured"));
}

std::uint64_t Operator::ForEachPair(const mail::Scope& scope,
                                    const std::function<void(Pair&)>& each) {
  std::uint64_t count = 0;
  for (const auto& scheduler : schedulers_) {
    scheduler->Run([&] {
      scheduler->ForEachPair([&](Pair& pair) {
        if (!scope.Matches(pair.key())) return;
        if (!pair.empty()) ++count;
        each(pair);
      });
    });
  }
  return count;
}

std::uint64_t Operator::InTurns(const mail::Scope& scope, const base::Id& only,
                                const std::function<std::uint64_t(Pair&, queue::RowWalk&)>& some) {
  std::uint64_t sum = 0;
  for (const auto& scheduler : schedulers_) {
    // By key: a pair may go between two turns.
    std::vector<std::shared_ptr<const mail::PairKey>> pairs;
    scheduler->Run([&] {
      scheduler->ForEachPair([&](Pair& pair) {
        if (pair.queue_depth() > 0 && scope.Matches(pair.key())) pairs.push_back(pair.key_ptr());
      });
    });
    queue::RowWalk walk{only};
    for (std::size_t next = 0; next < pairs.size();) {
      scheduler->Run([&] {
        walk.budget = kRowsInTurn;
        while (walk.budget > 0 && next < pairs.size()) {
          --walk.budget;  // for the pair itself: many small ones are work too
          Pair* pair = scheduler->FindPair(*pairs[next]);
          if (pair != nullptr) sum += some(*pair, walk);
          if (pair != nullptr && !walk.over) continue;
          ++next;
          walk = queue::RowWalk{only, walk.budget};
        }
      });
    }
  }
  return sum;
}

absl::Status Operator::AwaitWritten() {
  auto written = std::make_shared<std::promise<void>>();
  context_.spool.WhenWritten(context_.spool.Latest(), [written] { written->set_value(); });
  if (written->get_future().wait_for(kWriteWait) == std::future_status::ready) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      "the spool cannot write now: it is done, but would not survive a restart");
}

absl::StatusOr<std::uint64_t> Operator::Suspend(mail::Hold hold) {
  if (absl::Status status = CheckBinding(hold.scope); !status.ok()) return status;
  hold.kind = mail::Hold::Kind::kSuspended;
  hold.since = context_.clock.Now();
  const mail::Scope scope = hold.scope;
  if (absl::Status status = context_.holds.Put(std::move(hold)); !status.ok()) return status;
  const std::uint64_t queues =
      ForEachPair(scope, [](Pair& pair) { pair.scheduler().MaintainSoon(&pair); });
  if (absl::Status status = AwaitWritten(); !status.ok()) return status;
  return queues;
}

absl::StatusOr<Operations::Resumed> Operator::Resume(const mail::Scope& scope) {
  if (absl::Status status = CheckBinding(scope); !status.ok()) return status;
  Resumed resumed;
  const std::vector<mail::Hold> lifted = context_.holds.Lift(scope);
  for (mail::Hold& hold : context_.holds.All()) {
    if (hold.scope.Overlaps(scope)) resumed.remaining.push_back(std::move(hold));
  }
  ForEachPair(scope, [&](Pair& pair) {
    const bool was_held = std::any_of(lifted.begin(), lifted.end(), [&](const mail::Hold& hold) {
      return hold.scope.Matches(pair.key());
    });
    if (!was_held) return;
    pair.scheduler().MaintainSoon(&pair);
    if (!pair.empty() && pair.hold() == nullptr) ++resumed.queues;
  });
  if (absl::Status status = AwaitWritten(); !status.ok()) return status;
  return resumed;
}

absl::StatusOr<std::uint64_t> Operator::Flush(const mail::Scope& scope,
                                              const base::Id& message_id) {
  if (absl::Status status = CheckBinding(scope); !status.ok()) return status;
  // Once for each queue: one whose host refuses at once would be in its next back-off already.
  std::uint64_t rows = 0;
  ForEachPair(scope, [&](Pair& pair) { rows += pair.EndBackOff(message_id); });
  const absl::Time now = context_.clock.Now();
  rows += InTurns(scope, message_id,
                  [&](Pair& pair, queue::RowWalk& walk) { return pair.Flush(walk, now); });
  if (absl::Status status = AwaitWritten(); !status.ok()) return status;
  return rows;
}

absl::StatusOr<std::uint64_t> Operator::Fail(const mail::Scope& scope, mail::Reply reply,
                                             bool dry_run) {
  if (absl::Status status = CheckBinding(scope); !status.ok()) return status;
  if (dry_run) {
    std::uint64_t rows = 0;
    ForEachPair(scope, [&rows](Pair& pair) { rows += pair.queue_depth(); });
    return rows;
  }
  const auto shared = std::make_shared<const mail::Reply>(std::move(reply));
  const absl::Time now = context_.clock.Now();
  const std::uint64_t rows = InTurns(scope, base::Id{}, [&](Pair& pair, queue::RowWalk& walk) {
    return pair.FailQueued(walk, shared, now);
  });
  if (absl::Status status = AwaitWritten(); !status.ok()) return status;
  return rows;
}

absl::StatusOr<std::uint64_t> Operator::Reroute(const mail::Scope& scope,
                                                const std::string& to_binding) {
  if (absl::Status status = CheckBinding(scope); !status.ok()) return status;
  if (to_binding.empty() || !context_.options.KnowsBinding(to_binding)) {
    return absl::InvalidArgumentError(
        absl::StrCat("to_binding: \"", to_binding, "\" is not configured"));
  }
  const absl::Time now = context_.clock.Now();
  std::uint64_t rows = 0;
  {
    base::MutexLock lock(rows_mu_);
    std::vector<queue::RowPtr> moved;
    const auto take = [&](Pair& pair, queue::RowWalk& walk) -> std::uint64_t {
      walk.over = pair.key().binding == to_binding;
      return walk.over ? 0 : pair.TakeForBinding(walk, to_binding, now, &moved);
    };
    rows = InTurns(scope, base::Id{}, take);
    // They are filed after the last turn, so that no turn can meet one again.
    for (queue::RowPtr& row : moved) enqueue_(std::move(row));
    // Cancel and Resolve look for a row where its record says that it is.
    if (absl::Status status = AwaitWritten(); !status.ok()) return status;
  }
  return rows;
}

void Operator::Refile() {
  base::MutexLock lock(rows_mu_);
  const absl::Time now = context_.clock.Now();
  std::vector<queue::RowPtr> moved;
  const std::uint64_t rows =
      InTurns({"*", ""}, base::Id{}, [&](Pair& pair, queue::RowWalk& walk) -> std::uint64_t {
        // Only a gateway parts the queue's name from the recipients' domain.
        walk.over = pair.options()->gateway == nullptr && !GatewayOf(pair.key().domain).has_value();
        return walk.over ? 0 : pair.TakeForBinding(walk, pair.key().binding, now, &moved);
      });
  for (queue::RowPtr& row : moved) enqueue_(std::move(row));
  if (rows == 0) return;
  base::Log().info("gateway: {} rows were filed anew", rows);
  if (absl::Status status = AwaitWritten(); !status.ok()) {
    base::Log().warn("gateway: {}", status.message());
  }
}

absl::Status Operator::ShutdownConnection(const base::Id& connection, const std::string& who,
                                          const std::string& reason, bool now) {
  bool found = false;
  for (const auto& scheduler : schedulers_) {
    scheduler->Run([&] {
      Session* session = scheduler->FindSession(connection);
      if (session == nullptr) return;
      found = true;
      if (now) return session->Cut(mail::CloseCause::kAdmin, reason, who);
      hooks::ShutdownVerdict verdict;
      verdict.shutdown = true;
      verdict.cause = mail::CloseCause::kAdmin;
      verdict.provider = who;
      verdict.reason = reason;
      session->RequestShutdown(verdict);
    });
  }
  if (found) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("connection_id: no session ", connection.ToString(), " is open"));
}

void Operator::ForEachRow(const MessageView& message,
                          const std::function<void(Pair&, const mail::Row&)>& each) {
  for (const mail::Row& row : message.rows) {
    if (row.final()) continue;
    for (const auto& scheduler : schedulers_) {
      scheduler->Run([&] {
        if (Pair* pair = scheduler->FindPair(*row.pair)) each(*pair, row);
      });
    }
  }
}

absl::StatusOr<MessageView> Operator::Settled(const base::Id& message_id) {
  if (absl::Status status = AwaitWritten(); !status.ok()) return status;
  return messages_.Get(message_id, MessageSource::History::kNo);
}

absl::StatusOr<MessageView> Operator::Cancel(const base::Id& message_id,
                                             const std::vector<std::string>& recipients,
                                             const std::string& reason) {
  {
    base::MutexLock lock(rows_mu_);
    const absl::StatusOr<MessageView> message =
        messages_.Get(message_id, MessageSource::History::kNo);
    if (!message.ok()) return message.status();
    Cancellation cancellation;
    absl::StatusOr<std::vector<std::string>> found = FindRecipients(*message, recipients);
    if (!found.ok()) return found.status();
    cancellation.recipients = *std::move(found);
    cancellation.reply = std::make_shared<const mail::Reply>(mail::InternalReply(
        550, "5.7.0", reason.empty() ? "cancelled" : absl::StrCat("cancelled: ", reason),
        mail::SmtpStage::kNone));
    ForEachRow(*message, [&](Pair& pair, const mail::Row& row) { pair.Cancel(row, cancellation); });
  }
  return Settled(message_id);
}

absl::StatusOr<MessageView> Operator::Resolve(const base::Id& message_id, const std::string& domain,
                                              Resolution resolution) {
  std::uint64_t settled = 0;
  {
    base::MutexLock lock(rows_mu_);
    const absl::StatusOr<MessageView> message =
        messages_.Get(message_id, MessageSource::History::kNo);
    if (!message.ok()) return message.status();
    ForEachRow(*message, [&](Pair& pair, const mail::Row& row) {
      if (domain.empty() || DomainOf(row) == domain) settled += pair.Resolve(row, resolution);
    });
  }
  absl::StatusOr<MessageView> after = Settled(message_id);
  if (after.ok() && settled == 0) {
    return absl::FailedPreconditionError(
        "message_id: no row of the message is in doubt and out of a session");
  }
  return after;
}

}  // namespace postern::delivery

#include "server/rpc/convert_control.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_operations.h"

namespace postern::rpc {
namespace {

void FillQueue(const delivery::QueueInfo& queue, absl::Time now, v1::Queue* out) {
  out->set_domain(queue.pair.domain);
  out->mutable_binding()->set_name(queue.pair.binding);
  out->mutable_binding()->set_slot(queue.binding_slot);
  out->set_active(queue.active + queue.in_session);
  out->set_delayed(queue.delayed);
  out->set_open_connections(static_cast<std::uint32_t>(queue.open_connections));
  out->set_dialing(static_cast<std::uint32_t>(queue.dialing));
  out->set_connection_goal(static_cast<std::uint32_t>(queue.connection_goal));
  if (queue.last_failure != nullptr) ToProto(*queue.last_failure, out->mutable_last_failure());
  out->set_config_generation(queue.config_generation);
  if (queue.backoff_until > now && queue.backoff_until != absl::InfiniteFuture()) {
    *out->mutable_backoff_until() = ToProto(queue.backoff_until);
  }
  if (queue.waiting_for.has_value()) out->set_reason(ToProto(*queue.waiting_for));
  if (queue.hold.has_value()) {
    out->set_suspended(queue.hold->kind == mail::Hold::Kind::kSuspended);
    ToProto(*queue.hold, out->mutable_suspension());
    if (queue.active + queue.delayed > 0) out->set_reason(ToProto(queue.hold->requeue_reason()));
  }
  if (queue.oldest != absl::InfiniteFuture()) {
    *out->mutable_oldest_age() = ToProto(std::max(now - queue.oldest, absl::ZeroDuration()));
  }
  if (queue.next_attempt != absl::InfiniteFuture()) {
    *out->mutable_next_due() = ToProto(queue.next_attempt);
  }
}

struct PhaseName {
  absl::string_view name;
  v1::ConnectionState state;
  v1::SmtpStage stage;
};

constexpr PhaseName kPhases[] = {
    {"lookup", v1::CONNECTION_STATE_DIALING, v1::SMTP_STAGE_UNSPECIFIED},
    {"connect", v1::CONNECTION_STATE_DIALING, v1::SMTP_STAGE_CONNECT},
    {"greeting", v1::CONNECTION_STATE_HANDSHAKE, v1::SMTP_STAGE_GREETING},
    {"ehlo", v1::CONNECTION_STATE_HANDSHAKE, v1::SMTP_STAGE_EHLO},
    {"helo", v1::CONNECTION_STATE_HANDSHAKE, v1::SMTP_STAGE_HELO},
    {"starttls", v1::CONNECTION_STATE_HANDSHAKE, v1::SMTP_STAGE_STARTTLS},
    {"auth", v1::CONNECTION_STATE_HANDSHAKE, v1::SMTP_STAGE_AUTH},
    {"mail", v1::CONNECTION_STATE_TRANSACTION, v1::SMTP_STAGE_MAIL},
    {"rcpt", v1::CONNECTION_STATE_TRANSACTION, v1::SMTP_STAGE_RCPT},
    {"data", v1::CONNECTION_STATE_TRANSACTION, v1::SMTP_STAGE_DATA},
    {"spool", v1::CONNECTION_STATE_TRANSACTION, v1::SMTP_STAGE_DATA},
    {"body", v1::CONNECTION_STATE_TRANSACTION, v1::SMTP_STAGE_BODY},
    {"rset", v1::CONNECTION_STATE_TRANSACTION, v1::SMTP_STAGE_RSET},
    {"verdict", v1::CONNECTION_STATE_AWAITING_VERDICT, v1::SMTP_STAGE_UNSPECIFIED},
    {"idle", v1::CONNECTION_STATE_IDLE, v1::SMTP_STAGE_UNSPECIFIED},
    {"quit", v1::CONNECTION_STATE_CLOSING, v1::SMTP_STAGE_QUIT},
};

void FillConnection(const delivery::ConnectionEntry& entry, absl::Time now,
                    v1::OpenConnection* out) {
  ToProto(entry.info, out->mutable_connection());
  for (const PhaseName& phase : kPhases) {
    if (entry.phase != std::string(phase.name)) continue;
    out->set_state(phase.state);
    out->set_stage(phase.stage);
  }
  *out->mutable_age() = ToProto(std::max(now - entry.opened, absl::ZeroDuration()));
  out->set_deliveries(static_cast<std::uint32_t>(entry.deliveries));
  out->set_attempts(static_cast<std::uint32_t>(entry.attempts));
  out->set_recipients(static_cast<std::uint32_t>(entry.recipients));
  if (!entry.message_id.empty()) out->set_message_id(entry.message_id.ToString());
}

}  // namespace

absl::StatusOr<bridge::Matcher> ToMatcher(const v1::Filter& filter) {
  bridge::Filter values;
  values.domains.assign(filter.domains().begin(), filter.domains().end());
  values.bindings.assign(filter.bindings().begin(), filter.bindings().end());
  return bridge::Matcher::Create(std::move(values));
}

absl::Status ToPage(const v1::ListQueuesRequest& request, std::vector<delivery::QueueInfo> queues,
                    absl::Time now, v1::ListQueuesResponse* out) {
  const absl::StatusOr<bridge::Matcher> matcher = ToMatcher(request.filter());
  if (!matcher.ok()) return matcher.status();
  const absl::StatusOr<int> page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  mail::PairKey after;  // the token is "domain/binding" of the last queue shown
  if (!request.page_token().empty()) {
    const std::size_t slash = request.page_token().find('/');
    if (slash == std::string::npos) {
      return absl::InvalidArgumentError("page_token: is not one of ours");
    }
    after = {request.page_token().substr(0, slash), request.page_token().substr(slash + 1)};
  }
  std::sort(queues.begin(), queues.end(),
            [](const auto& a, const auto& b) { return a.pair < b.pair; });
  for (const delivery::QueueInfo& queue : queues) {
    if (!(after < queue.pair) || !matcher->Matches(queue.pair.domain, queue.pair.binding)) continue;
    if (out->queues_size() == *page_size) {
      const v1::Queue& last = out->queues(out->queues_size() - 1);
      out->set_next_page_token(absl::StrCat(last.domain(), "/", last.binding().name()));
      break;
    }
    FillQueue(queue, now, out->add_queues());
  }
  return absl::OkStatus();
}

absl::Status ToPage(const v1::ListConnectionsRequest& request,
                    std::vector<delivery::ConnectionEntry> connections, absl::Time now,
                    v1::ListConnectionsResponse* out) {
  const absl::StatusOr<bridge::Matcher> matcher = ToMatcher(request.filter());
  if (!matcher.ok()) return matcher.status();
  const absl::StatusOr<int> page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  base::Id after;
  if (!request.page_token().empty()) {
    const std::optional<base::Id> token = base::ParseId(request.page_token());
    if (!token.has_value()) return absl::InvalidArgumentError("page_token: is not one of ours");
    after = *token;
  }
  std::sort(connections.begin(), connections.end(),
            [](const auto& a, const auto& b) { return a.info.id < b.info.id; });
  for (const delivery::ConnectionEntry& entry : connections) {
    if (!(after < entry.info.id) || entry.info.pair == nullptr) continue;
    if (!matcher->Matches(entry.info.pair->domain, entry.info.pair->binding)) continue;
    if (out->connections_size() == *page_size) {
      out->set_next_page_token(
          out->connections(out->connections_size() - 1).connection().connection_id());
      break;
    }
    FillConnection(entry, now, out->add_connections());
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> DrainBudget(const v1::DrainRequest& request, absl::Duration budget) {
  if (!request.has_budget()) return budget;
  const absl::Duration given =
      absl::Seconds(request.budget().seconds()) + absl::Nanoseconds(request.budget().nanos());
  if (given < absl::ZeroDuration() || given > kMaxDrainBudget) {
    return absl::InvalidArgumentError("budget: must be 0 to 1h");
  }
  return given;
}

void ToProto(const delivery::DrainProgress& progress, absl::Duration elapsed,
             absl::Duration time_left, v1::DrainProgress* out) {
  out->set_phase(progress.done                       ? v1::DRAIN_PHASE_DONE
                 : time_left <= absl::ZeroDuration() ? v1::DRAIN_PHASE_CUTTING
                                                     : v1::DRAIN_PHASE_DRAINING);
  out->set_open_connections(static_cast<std::uint32_t>(progress.open_sessions));
  out->set_open_transactions(static_cast<std::uint32_t>(progress.in_transaction));
  *out->mutable_elapsed() = ToProto(elapsed);
  *out->mutable_time_left() = ToProto(std::max(time_left, absl::ZeroDuration()));
  out->set_cut(static_cast<std::uint32_t>(progress.cut));
  out->set_in_doubt(static_cast<std::uint32_t>(progress.in_doubt));
  out->set_queued(progress.queued_rows);
}

}  // namespace postern::rpc

// EncodeEvent: runs on scheduler threads, once for each event that anybody wants.
#include <utility>
#include <variant>

#include "server/rpc/convert.h"
#include "server/rpc/convert_hooks.h"

namespace postern::rpc {
namespace {

void Fill(const bridge::PostInitiateEvent& event, v1::Event* out) {
  v1::PostInitiateConnectionSmtp* what = out->mutable_post_initiate_connection_smtp();
  if (event.error == mail::ConnError::kNone) {
    what->set_conn_fd(event.conn_fd);
  } else {
    what->set_error(ToProto(event.error));
  }
  what->set_attempt(event.attempt);
  if (!event.probable_message_id.empty()) {
    what->set_probable_message_id(event.probable_message_id.ToString());
  }
  what->set_queue_depth(event.queue_depth);
  what->set_detail(Utf8(event.detail));
}

void Fill(const hooks::SessionReady& event, v1::Event* out) {
  v1::SessionReady* what = out->mutable_session_ready();
  for (const std::string& capability : event.capabilities) {
    what->add_capabilities(Utf8(capability));
  }
  what->set_tls_version(event.tls_version);
  what->set_tls_cipher(event.tls_cipher);
  what->set_tls_verified(event.tls_verified);
}

void AddPhase(v1::SmtpStage stage, absl::Duration took, v1::DeliveryAttempt* out) {
  if (took <= absl::ZeroDuration()) return;
  v1::PhaseTime* phase = out->add_phases();
  phase->set_stage(stage);
  *phase->mutable_took() = ToProto(took);
}

void Fill(const bridge::DeliveryAttemptEvent& event, v1::Event* out) {
  const hooks::AttemptReport& report = event.report;
  v1::DeliveryAttempt* what = out->mutable_delivery_attempt();
  what->set_message_id(report.message_id.ToString());
  for (const hooks::RecipientOutcome& outcome : report.recipients) {
    v1::RecipientResult* result = what->add_recipients();
    result->set_recipient(Utf8(outcome.address));
    result->set_disposition(ToProto(outcome.disposition));
    if (outcome.reply != nullptr) ToProto(*outcome.reply, result->mutable_reply());
    if (!mail::IsFinal(outcome.disposition)) result->set_reason(ToProto(report.reason));
  }
  what->set_bytes(static_cast<std::int64_t>(report.bytes));
  *what->mutable_took() =
      ToProto(report.mail_time + report.rcpt_time + report.data_time + report.body_time);
  AddPhase(v1::SMTP_STAGE_MAIL, report.mail_time, what);
  AddPhase(v1::SMTP_STAGE_RCPT, report.rcpt_time, what);
  AddPhase(v1::SMTP_STAGE_DATA, report.data_time, what);
  AddPhase(v1::SMTP_STAGE_BODY, report.body_time, what);
  what->set_in_doubt(report.in_doubt);
  what->set_attempts(static_cast<std::uint32_t>(event.attempts));
  what->set_deliveries(static_cast<std::uint32_t>(event.deliveries));
}

void Fill(const bridge::VerdictEvent& event, v1::Event* out) {
  v1::VerdictEvent* what = out->mutable_verdict();
  what->set_decision(static_cast<v1::Decision>(event.decision));
  what->set_source(static_cast<v1::DecisionSource>(event.source));
  what->set_provider(event.provider);
  if (event.source == bridge::DecisionSource::kDefault) {
    what->set_default_cause(static_cast<v1::DefaultCause>(event.default_cause));
  }
  what->set_reason(Utf8(event.reason));
  *what->mutable_waited() = ToProto(event.waited);
  what->set_number(event.number);
  if (!event.message_id.empty()) what->set_message_id(event.message_id.ToString());
}

void Fill(const hooks::ConnectionClosed& event, v1::Event* out) {
  v1::ConnectionClosed* what = out->mutable_connection_closed();
  what->set_cause(ToProto(event.cause));
  what->set_provider(Utf8(event.provider));
  what->set_reason(Utf8(event.detail));
  what->set_deliveries(static_cast<std::uint32_t>(event.deliveries));
  what->set_attempts(static_cast<std::uint32_t>(event.attempts));
  what->set_bytes(static_cast<std::int64_t>(event.bytes));
  *what->mutable_lifetime() = ToProto(event.lifetime);
}

}  // namespace

std::string EncodeEvent(const bridge::EventData& event) {
  // One message for each thread: Clear() keeps its memory, which halves the cost.
  thread_local v1::Event out;
  out.Clear();
  *out.mutable_time() = ToProto(event.time);
  if (event.connection != nullptr) ToProto(*event.connection, out.mutable_connection());
  std::visit([](const auto& what) { Fill(what, &out); }, event.what);
  return out.SerializeAsString();
}

}  // namespace postern::rpc

#include "server/delivery/disposition_log.h"

#include <algorithm>
#include <string>
#include <vector>

#include "server/base/json_line.h"

namespace postern::delivery {
namespace {

using base::JsonLine;

// A reply in the fields of `line`; nothing for none.
void AddReply(const mail::Reply* reply, JsonLine* line) {
  if (reply == nullptr) return;
  if (reply->code != 0) line->Number("code", static_cast<std::uint64_t>(reply->code));
  line->Text("enhanced", reply->enhanced).Text("text", reply->text);
  if (reply->stage != mail::SmtpStage::kNone) line->Text("stage", Name(reply->stage));
}

}  // namespace

void DispositionLog::Attempt(const mail::ConnectionInfo& connection,
                             const hooks::AttemptReport& report, std::uint32_t attempts) {
  JsonLine line;
  line.Time("time", clock_.Now())
      .Text("event", "attempt")
      .Text("message_id", report.message_id.ToString())
      .Text("domain", connection.pair->domain)
      .Text("binding", connection.pair->binding)
      .Text("connection_id", connection.id.ToString())
      .Text("mx_host", connection.mx_host)
      .Text("remote_address", connection.remote_address)
      .Text("local_address", connection.local_address)
      .Number("attempt", attempts + 1)
      .Text("disposition", Name(report.disposition));
  const bool some_wait =
      std::any_of(report.recipients.begin(), report.recipients.end(),
                  [](const auto& outcome) { return !IsFinal(outcome.disposition); });
  if (some_wait) line.Text("reason", Name(report.reason));
  AddReply(&report.reply, &line);
  line.Number("bytes", report.bytes).Flag("in_doubt", report.in_doubt);
  JsonLine phases;
  phases.Seconds("mail", report.mail_time)
      .Seconds("rcpt", report.rcpt_time)
      .Seconds("data", report.data_time)
      .Seconds("body", report.body_time);
  line.Object("seconds", phases.Take());
  std::vector<std::string> recipients;
  recipients.reserve(report.recipients.size());
  for (const hooks::RecipientOutcome& outcome : report.recipients) {
    JsonLine recipient;
    recipient.Text("address", outcome.address).Text("disposition", Name(outcome.disposition));
    AddReply(outcome.reply.get(), &recipient);
    recipients.push_back(recipient.Take());
  }
  line.List("recipients", recipients);
  lines_->Add(line.Take());
}

void DispositionLog::Final(const mail::Row& row, const mail::Recipient& recipient,
                           std::uint32_t attempts) {
  const absl::Time now = clock_.Now();
  JsonLine line;
  line.Time("time", now)
      .Text("event", "final")
      .Text("message_id", row.message_id.ToString())
      .Text("domain", row.pair->domain)
      .Text("binding", row.pair->binding)
      .Text("sender", row.sender)
      .Text("recipient", recipient.address)
      .Text("disposition", Name(recipient.disposition));
  AddReply(recipient.last_reply.get(), &line);
  line.Number("attempts", attempts).Time("submitted", row.created);
  line.Seconds("age", now - row.created).Number("size", row.content_bytes);
  lines_->Add(line.Take());
}

}  // namespace postern::delivery

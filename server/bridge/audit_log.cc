#include "server/bridge/audit_log.h"

#include "server/base/json_line.h"

namespace postern::bridge {
namespace {

using base::JsonLine;

std::string PartObject(const Part& part, absl::Time asked_at) {
  JsonLine object;
  object.Text("provider", part.provider->name());
  if (part.stream) {
    object.Text("stream", part.stream->spec().provider_id)
        .Text("identity", part.stream->spec().identity);
  }
  switch (part.state) {
    case Part::State::kAnswered:
    case Part::State::kDefaulted:
      object.Text("decision", Name(part.decision)).Text("source", Name(part.source));
      break;
    case Part::State::kCancelled:
      object.Text("source", "cancelled");
      break;
    case Part::State::kOpen:
      object.Text("source", "open");
      break;
  }
  if (part.state == Part::State::kDefaulted) object.Text("cause", Name(part.cause));
  if (part.state != Part::State::kOpen) object.Seconds("seconds", part.closed_at - asked_at);
  return object.Flag("suppressed", part.suppressed).Text("reason", part.reason).Take();
}

}  // namespace

void AuditLog::Add(const AuditRecord& record) {
  const mail::ConnectionInfo& connection = *record.connection;
  JsonLine line;
  line.Time("time", clock_.Now())
      .Text("event", "question")
      .Text("connection_id", connection.id.ToString())
      .Number("number", record.number)
      .Text("message_id", record.effective.message_id.ToString())
      .Text("domain", connection.pair->domain)
      .Text("binding", connection.pair->binding)
      .Text("mx_host", connection.mx_host);
  JsonLine native;
  native.Text("decision", Name(record.native_shutdown ? Decision::kShutdown : Decision::kKeep))
      .Text("provider", record.native_provider)
      .Text("reason", record.native_reason);
  line.Object("native", native.Take());
  std::vector<std::string> providers;
  providers.reserve(record.parts.size());
  for (const Part& part : record.parts) providers.push_back(PartObject(part, record.asked_at));
  line.List("providers", providers)
      .Text("decision", Name(record.effective.decision))
      .Text("source", Name(record.effective.source))
      .Text("decided_by", record.effective.provider)
      .Seconds("waited", record.effective.waited)
      .Number("config_generation", record.config_generation);
  lines_->Add(line.Take());
}

}  // namespace postern::bridge

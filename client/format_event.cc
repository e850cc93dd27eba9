#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/terminal.h"

namespace postern::client {
namespace {

std::string Colon(const std::string& text) {
  return text.empty() ? "" : absl::StrCat(": ", Printable(text));
}

std::string By(const std::string& provider) {
  return provider.empty() ? "" : absl::StrCat(" by ", Printable(provider));
}

std::string Describe(const v1::Connection& connection, const v1::PostInitiateConnectionSmtp& what,
                     bool colours) {
  std::string line =
      Printable(absl::StrCat(connection.mx_host(), " ", connection.remote_address()));
  if (line == " ") line = "no host";
  if (what.has_error()) {
    return absl::StrCat(line, " error ", Paint(ShortName(what.error()), Colour::kBad, colours),
                        Colon(what.detail()));
  }
  return absl::StrCat(line, " connected, queue ", what.queue_depth());
}

std::string Describe(const v1::SessionReady& what) {
  return absl::StrCat(what.tls_version().empty() ? "plaintext" : Printable(what.tls_version()),
                      " [", Printable(absl::StrJoin(what.capabilities(), ", ")), "]");
}

std::string Describe(const v1::DeliveryAttempt& what, bool colours) {
  std::vector<std::string> recipients;
  for (const auto& one : what.recipients()) {
    recipients.push_back(absl::StrCat(Printable(one.recipient()), " ",
                                      PaintWord(ShortName(one.disposition()), colours), " (",
                                      FormatReply(one.reply()), ")"));
  }
  return absl::StrCat(ShortId(what.message_id()), " ", absl::StrJoin(recipients, "; "), " in ",
                      FormatDuration(what.took()), what.in_doubt() ? ", in doubt" : "");
}

std::string Describe(const v1::VerdictEvent& what, bool colours) {
  std::string source = ShortName(what.source());
  if (what.source() == v1::DECISION_SOURCE_DEFAULT) {
    absl::StrAppend(&source, " on ", ShortName(what.default_cause()));
  }
  return absl::StrCat(PaintWord(ShortName(what.decision()), colours), By(what.provider()), " (",
                      source, ", waited ", FormatDuration(what.waited()), ")",
                      Colon(what.reason()));
}

std::string Describe(const v1::ConnectionClosed& what) {
  return absl::StrCat(ShortName(what.cause()), By(what.provider()), Colon(what.reason()), "; ",
                      what.deliveries(), " of ", what.attempts(), " delivered in ",
                      FormatDuration(what.lifetime()));
}

}  // namespace

std::string ShortId(const std::string& id) {
  constexpr std::size_t kDigits = 8;
  if (id.empty()) return "-";
  return Printable(id.size() > kDigits ? id.substr(id.size() - kDigits) : id);
}

std::string FormatEvent(const v1::Event& event, bool colours) {
  std::string_view kind = "?";
  std::string what;
  switch (event.what_case()) {
    case v1::Event::kPostInitiateConnectionSmtp:
      kind = "connection";
      what = Describe(event.connection(), event.post_initiate_connection_smtp(), colours);
      break;
    case v1::Event::kSessionReady:
      kind = "ready";
      what = Describe(event.session_ready());
      break;
    case v1::Event::kDeliveryAttempt:
      kind = "attempt";
      what = Describe(event.delivery_attempt(), colours);
      break;
    case v1::Event::kVerdict:
      kind = "verdict";
      what = Describe(event.verdict(), colours);
      break;
    case v1::Event::kConnectionClosed:
      kind = "closed";
      what = Describe(event.connection_closed());
      break;
    case v1::Event::WHAT_NOT_SET:
      break;  // a kind of a later release
  }
  const v1::Connection& connection = event.connection();
  return absl::StrFormat("%s %6d %-10s %s %s/%s %s", FormatTime(event.time()), event.sequence(),
                         kind, ShortId(connection.connection_id()), Printable(connection.domain()),
                         Printable(connection.binding().name()), what);
}

std::string FormatQuestion(const v1::Question& question) {
  return absl::StrFormat(
      "question %d about %s %s/%s: %s (%s), %d of %d delivered, queue %d, %d ms left",
      question.number(), ShortId(question.connection_id()), Printable(question.domain()),
      Printable(question.binding().name()), ShortName(question.disposition()),
      FormatReply(question.reply()), question.deliveries(), question.attempts(),
      question.queue_depth(), question.time_left_ms());
}

std::string FormatVerdictResult(const v1::VerdictResult& result) {
  std::string line = absl::StrCat("verdict ", result.verdict_id(), " ", ShortName(result.status()));
  if (result.has_late_by()) absl::StrAppend(&line, " by ", FormatDuration(result.late_by()));
  return absl::StrCat(line, Colon(result.detail()));
}

std::string FormatGap(const v1::Gap& gap) {
  const std::string lost = gap.lost() == 0 ? "an unknown number of" : absl::StrCat(gap.lost());
  return absl::StrCat("gap: ", lost, " events lost (", ShortName(gap.cause()), ")");
}

}  // namespace postern::client

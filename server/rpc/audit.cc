#include "server/rpc/audit.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace postern::rpc {
namespace {

// Words of strangers must not look like fields of ours, nor begin lines.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text), "\"");
}

}  // namespace

std::string CallerOf(const Call& call) {
  return absl::StrCat(AuthMethodName(call.identity().method), " ", call.server_context().peer());
}

void Audit(const AuditEntry& entry, const absl::Status& outcome) {
  std::string line = absl::StrCat("audit call=", entry.call, " who=", Quoted(entry.who));
  if (!entry.from.empty()) absl::StrAppend(&line, " from=", Quoted(entry.from));
  if (!entry.on.empty()) absl::StrAppend(&line, " on=", Quoted(entry.on));
  if (!entry.reason.empty()) absl::StrAppend(&line, " reason=", Quoted(entry.reason));
  absl::StrAppend(&line, " outcome=", absl::StatusCodeToString(outcome.code()));
  if (outcome.ok()) {
    if (!entry.detail.empty()) absl::StrAppend(&line, " detail=", Quoted(entry.detail));
    base::Log().info("{}", line);
  } else {
    base::Log().warn("{} detail={}", line, Quoted(outcome.message()));
  }
}

}  // namespace postern::rpc

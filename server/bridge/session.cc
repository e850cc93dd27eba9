#include "server/bridge/session.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "server/base/log.h"
#include "server/base/utf8.h"

namespace postern::bridge {
namespace {

// So many results are waiting only for a client that talks and does not listen.
constexpr std::size_t kMaxPendingResults = 8192;

}  // namespace

WatchSession::~WatchSession() {
  fanout_.Remove(stream_);
  stream_->Close();
  stream_->Release();
}

AttachedSession::~AttachedSession() {
  AttachedSession::Detach("stream ended");
  stream_->Release();
}

absl::StatusOr<std::vector<VerdictResult>> AttachedSession::Verdicts(
    std::vector<Verdict> verdicts) {
  // Only what waits counts: how many a frame brings is bounded by its size.
  if (stream_->pending_results() >= kMaxPendingResults) {
    return absl::ResourceExhaustedError("verdict_results: too many wait to be read");
  }
  Notifications notify;
  std::vector<VerdictResult> denied;
  for (VerdictResult& result : desk_.Apply(stream_, std::move(verdicts))) {
    stream_->spec().provider->CountResult(result.status, stream_->spec().shadow);
    if (result.status == VerdictStatus::kDenied) denied.push_back(result);
    stream_->AddResult(std::move(result), &notify);
  }
  Notify(notify);
  return denied;
}

void AttachedSession::Detach(absl::string_view reason) {
  if (stream_->closed()) return;
  // Out of the routes first: from here on nobody sends it anything new.
  fanout_.Remove(stream_);
  desk_.Disconnect(*stream_, stream_->Close());
  base::Log().info("bridge: {} detached: {}", attached_.provider_id,
                   absl::Utf8SafeCEscape(base::Utf8(reason, kMaxReasonBytes)));
}

}  // namespace postern::bridge

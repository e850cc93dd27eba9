#include "server/rpc/call.h"

#include <optional>
#include <string>

#include "server/base/retry_after.h"

namespace postern::rpc {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message().data(), status.message().size()));
}

void TellRetryAfter(const absl::Status& status, grpc::ServerContext& context) {
  const std::optional<absl::Duration> delay = base::RetryAfter(status);
  if (!delay.has_value()) return;
  context.AddTrailingMetadata("retry-after", std::to_string(absl::ToInt64Seconds(*delay)));
}

Call::Call(Queue& queue, grpc::ServerContext& context)
    : hold_(queue), server_context_(context), done_tag_(*this), done_signal_(queue) {
  context.AsyncNotifyWhenDone(done_tag_.Release());
}

void Call::DoneTag::OnComplete(bool /*ok*/) {
  call_.done_ = true;
  call_.done_signal_.Set();
  if (call_.watcher_ != nullptr) call_.watcher_->Set();
}

}  // namespace postern::rpc

#include "server/rpc/call.h"

namespace postern::rpc {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message().data(), status.message().size()));
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

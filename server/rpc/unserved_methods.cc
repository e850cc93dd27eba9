#include "server/rpc/unserved_methods.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace postern::rpc {
namespace {

// `path` is "/postern.v1.Control/Suspend".
absl::Status Refusal(std::string path) {
  if (!path.empty()) path.erase(0, 1);
  std::replace(path.begin(), path.end(), '/', '.');
  const bool of_contract =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(path) != nullptr;
  return absl::UnimplementedError(
      absl::StrCat(path, of_contract ? ": not served yet" : ": no such method"));
}

}  // namespace

Detached UnservedMethods::Serve() {
  auto call = std::make_unique<GenericCall>(queue_);
  if (!co_await call->Accept(service_)) co_return;
  Serve();
  const absl::Status status = Refusal(call->context.method());
  stats_.Count(status.code());
  co_await call->Finish(status);
  co_await call->Done();
}

}  // namespace postern::rpc

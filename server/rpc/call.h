// Operation: one operation of gRPC, awaited. Call: what all kinds of call (calls.h) have in common.
//
// A call must be finished and Done() whatever happens: Server::Shutdown never returns otherwise.
// When the client goes away pending operations come back false, and the signal given to
// SignalWhenDone() is set. Thread: the call's queue.
#pragma once

#include <grpcpp/grpcpp.h>

#include <coroutine>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "server/rpc/cq.h"
#include "server/rpc/identity.h"
#include "server/rpc/signal.h"

namespace postern::rpc {

// The status of a call; codes of absl and gRPC are the same numbers.
grpc::Status ToGrpc(const absl::Status& status);
// Trailing metadata `retry-after`, in seconds, if the status says when to try again.
void TellRetryAfter(const absl::Status& status, grpc::ServerContext& context);

// One operation of gRPC, awaited; the result is gRPC's `ok`.
template <class Start>
class Operation final : public Tag {
 public:
  explicit Operation(Start start) : start_(start) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    waiter_ = h;
    start_(Release());
  }
  bool await_resume() const { return ok_; }
  void OnComplete(bool ok) override {
    ok_ = ok;
    waiter_.resume();
  }

 private:
  Start start_;
  std::coroutine_handle<> waiter_;
  bool ok_ = false;
};

// A base of its own, so that the context exists before Call asks it for the done notice.
template <class Context>
struct WithContext {
  Context context;
};

class Call {
 public:
  Call(Queue& queue, grpc::ServerContext& context);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Queue& queue() { return hold_.queue(); }
  const grpc::ServerContext& server_context() const { return server_context_; }
  // Who calls, by the identities of generation access_generation() (Access::generation). REQUIRES:
  // the call was admitted (access.h).
  const Identity& identity() const { return *identity_; }
  std::uint64_t access_generation() const { return access_generation_; }
  void SetIdentity(IdentityPtr identity, std::uint64_t generation) {
    identity_ = std::move(identity);
    access_generation_ = generation;
  }
  // The call is over: finished, or the client is gone.
  bool done() const { return done_; }
  // `signal` is set when the call is over; it must live until then. One at a time, null for none.
  void SignalWhenDone(Signal* signal) { watcher_ = signal; }
  // Waits until gRPC is through with the call. REQUIRES: it was accepted and Finish has returned.
  auto Done() { return done_signal_.Wait(); }

 protected:
  ~Call() = default;

 private:
  class DoneTag final : public Tag {
   public:
    explicit DoneTag(Call& call) : call_(call) {}
    void OnComplete(bool ok) override;

   private:
    Call& call_;
  };

  Queue::Hold hold_;
  const grpc::ServerContext& server_context_;
  IdentityPtr identity_;
  std::uint64_t access_generation_ = 0;
  DoneTag done_tag_;
  Signal done_signal_;
  Signal* watcher_ = nullptr;
  bool done_ = false;
};

}  // namespace postern::rpc

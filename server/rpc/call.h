// Calls as coroutines read them: UnaryCall, WriterCall (server stream), StreamCall (both ways).
//
//   if (!co_await call.Read(&frame)) ...     the client has half-closed or is gone
//   co_await call.Write(answer);             one write at a time
//   co_await call.Finish(status);
//   co_await call.Done();                    then the call may be destroyed
//
// A call must be finished and Done() whatever happens: Server::Shutdown never returns otherwise.
// When the client goes away pending operations come back false, and the signal given to
// SignalWhenDone() is set. Thread: the call's queue.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>

#include <coroutine>
#include <memory>

#include "absl/status/status.h"
#include "server/rpc/cq.h"
#include "server/rpc/stats.h"

namespace postern::rpc {

// The status of a call; codes of absl and gRPC are the same numbers.
grpc::Status ToGrpc(const absl::Status& status);

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
  DoneTag done_tag_;
  Signal done_signal_;
  Signal* watcher_ = nullptr;
  bool done_ = false;
};

template <class Request, class Response>
class UnaryCall final : public WithContext<grpc::ServerContext>, public Call {
 public:
  using Responder = grpc::ServerAsyncResponseWriter<Response>;
  explicit UnaryCall(Queue& queue) : Call(queue, context), responder_(&context) {}

  // False: the server shuts down; there was no call. `method`: AsyncService::RequestX.
  template <class Service, class Owner>
  auto Accept(Service& service,
              void (Owner::*method)(grpc::ServerContext*, Request*, Responder*,
                                    grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*)) {
    auto start = [this, &service, method](void* tag) {
      (service.*method)(&context, &request, &responder_, queue().cq(), queue().cq(), tag);
    };
    return Operation<decltype(start)>(start);
  }
  // Answers `response`, or the error.
  auto Finish(const absl::Status& status) {
    auto start = [this, &status](void* tag) {
      if (status.ok()) {
        responder_.Finish(response, grpc::Status::OK, tag);
      } else {
        responder_.FinishWithError(ToGrpc(status), tag);
      }
    };
    return Operation<decltype(start)>(start);
  }

  Request request;
  Response response;

 private:
  Responder responder_;
};

template <class Request, class Response>
class WriterCall final : public WithContext<grpc::ServerContext>, public Call {
 public:
  using Writer = grpc::ServerAsyncWriter<Response>;
  explicit WriterCall(Queue& queue) : Call(queue, context), writer_(&context) {}

  template <class Service, class Owner>
  auto Accept(Service& service,
              void (Owner::*method)(grpc::ServerContext*, Request*, Writer*, grpc::CompletionQueue*,
                                    grpc::ServerCompletionQueue*, void*)) {
    auto start = [this, &service, method](void* tag) {
      (service.*method)(&context, &request, &writer_, queue().cq(), queue().cq(), tag);
    };
    return Operation<decltype(start)>(start);
  }
  // False: the client is gone.
  auto Write(const Response& response) {
    auto start = [this, &response](void* tag) { writer_.Write(response, tag); };
    return Operation<decltype(start)>(start);
  }
  auto Finish(const absl::Status& status) {
    auto start = [this, &status](void* tag) { writer_.Finish(ToGrpc(status), tag); };
    return Operation<decltype(start)>(start);
  }

  Request request;

 private:
  Writer writer_;
};

// Read and Write may be under way at the same time, from two coroutines.
template <class Request, class Response>
class StreamCall final : public WithContext<grpc::ServerContext>, public Call {
 public:
  using Stream = grpc::ServerAsyncReaderWriter<Response, Request>;
  explicit StreamCall(Queue& queue) : Call(queue, context), stream_(&context) {}

  template <class Service, class Owner>
  auto Accept(Service& service,
              void (Owner::*method)(grpc::ServerContext*, Stream*, grpc::CompletionQueue*,
                                    grpc::ServerCompletionQueue*, void*)) {
    auto start = [this, &service, method](void* tag) {
      (service.*method)(&context, &stream_, queue().cq(), queue().cq(), tag);
    };
    return Operation<decltype(start)>(start);
  }
  // False: the client has half-closed, or the call is over. `request` must live until then.
  auto Read(Request* request) {
    auto start = [this, request](void* tag) { stream_.Read(request, tag); };
    return Operation<decltype(start)>(start);
  }
  auto Write(const Response& response) {
    auto start = [this, &response](void* tag) { stream_.Write(response, tag); };
    return Operation<decltype(start)>(start);
  }
  // A pending Read comes back false.
  auto Finish(const absl::Status& status) {
    auto start = [this, &status](void* tag) { stream_.Finish(ToGrpc(status), tag); };
    return Operation<decltype(start)>(start);
  }

 private:
  Stream stream_;
};

// A call to a method that no service here serves.
class GenericCall final : public WithContext<grpc::GenericServerContext>, public Call {
 public:
  explicit GenericCall(Queue& queue) : Call(queue, context), stream_(&context) {}

  auto Accept(grpc::AsyncGenericService& service) {
    auto start = [this, &service](void* tag) {
      service.RequestCall(&context, &stream_, queue().cq(), queue().cq(), tag);
    };
    return Operation<decltype(start)>(start);
  }
  auto Finish(const absl::Status& status) {
    auto start = [this, &status](void* tag) { stream_.Finish(ToGrpc(status), tag); };
    return Operation<decltype(start)>(start);
  }

 private:
  grpc::GenericServerAsyncReaderWriter stream_;
};

}  // namespace postern::rpc

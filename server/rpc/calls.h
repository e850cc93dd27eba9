// Calls as coroutines read them: UnaryCall, WriterCall (server stream), StreamCall (both ways).
//
//   if (!co_await call.Read(&frame)) ...     the client has half-closed or is gone
//   co_await call.Write(answer);             one write at a time
//   co_await call.Finish(status);
//   co_await call.Done();                    then the call may be destroyed
//
// See call.h. Thread: the call's queue.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>

#include <type_traits>

#include "absl/status/status.h"
#include "server/base/check.h"
#include "server/rpc/call.h"

namespace postern::rpc {

// How calls are asked for whose requests come as bytes. The generated RequestX would parse them
// before anyone can look at who sends them, and how much; what it is built on need not. Here for
// all unary methods, so that no service can forget one.
class BytesService final : public grpc::Service {
 public:
  static void RequestUnary(grpc::Service& service, int method, grpc::ServerContext* context,
                           grpc::ByteBuffer* request,
                           grpc::internal::ServerAsyncStreamingInterface* call,
                           grpc::ServerCompletionQueue* cq, void* tag) {
    constexpr auto kRequest = &BytesService::RequestAsyncUnary<grpc::ByteBuffer>;
    (service.*kRequest)(method, context, request, call, cq, cq, tag);
  }
  static void RequestWriter(grpc::Service& service, int method, grpc::ServerContext* context,
                            grpc::ByteBuffer* request,
                            grpc::internal::ServerAsyncStreamingInterface* call,
                            grpc::ServerCompletionQueue* cq, void* tag) {
    constexpr auto kRequest = &BytesService::RequestAsyncServerStreaming<grpc::ByteBuffer>;
    (service.*kRequest)(method, context, request, call, cq, cq, tag);
  }
  static void RequestStream(grpc::Service& service, int method, grpc::ServerContext* context,
                            grpc::internal::ServerAsyncStreamingInterface* call,
                            grpc::ServerCompletionQueue* cq, void* tag) {
    constexpr auto kRequest = &BytesService::RequestAsyncBidiStreaming;
    (service.*kRequest)(method, context, call, cq, cq, tag);
  }
  // The number of the method that takes `Request`, as generated services count them.
  template <class Request>
  static int MethodOf(bool client_streams, bool server_streams) {
    const google::protobuf::FileDescriptor* file = Request::descriptor()->file();
    for (int i = 0; i < file->service_count(); ++i) {
      for (int k = 0; k < file->service(i)->method_count(); ++k) {
        const google::protobuf::MethodDescriptor* method = file->service(i)->method(k);
        if (method->input_type() == Request::descriptor() &&
            method->client_streaming() == client_streams &&
            method->server_streaming() == server_streams) {
          return method->index();
        }
      }
    }
    POSTERN_CHECK(false);
    return -1;
  }
};

template <class Request, class Response>
class UnaryCall final : public WithContext<grpc::ServerContext>, public Call {
 public:
  using Responder = grpc::ServerAsyncResponseWriter<Response>;
  explicit UnaryCall(Queue& queue) : Call(queue, context), responder_(&context) {}

  // False: the server shuts down; there was no call. `received` is set then, not `request`. The
  // method is AsyncService::RequestX, of which only the types are looked at (BytesService).
  template <class Owner>
  auto Accept(grpc::Service& service,
              void (Owner::*)(grpc::ServerContext*, Request*, Responder*, grpc::CompletionQueue*,
                              grpc::ServerCompletionQueue*, void*)) {
    auto start = [this, &service](void* tag) {
      const int method = BytesService::MethodOf<Request>(false, false);
      BytesService::RequestUnary(service, method, &context, &received, &responder_, queue().cq(),
                                 tag);
    };
    return Operation<decltype(start)>(start);
  }
  // Answers `response`, or the error.
  auto Finish(const absl::Status& status) {
    auto start = [this, &status](void* tag) {
      TellRetryAfter(status, context);
      if (status.ok()) {
        responder_.Finish(response, grpc::Status::OK, tag);
      } else {
        responder_.FinishWithError(ToGrpc(status), tag);
      }
    };
    return Operation<decltype(start)>(start);
  }

  grpc::ByteBuffer received;  // until it is parsed
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
  // The same where the generated RequestX is for a request that is parsed: it only says which
  // method. `request` is not parsed then.
  template <class Owner, class Parsed>
  requires(!std::is_same_v<Parsed, Request>) auto Accept(
      grpc::Service& service,
      void (Owner::*)(grpc::ServerContext*, Parsed*, Writer*, grpc::CompletionQueue*,
                      grpc::ServerCompletionQueue*, void*)) {
    auto start = [this, &service](void* tag) {
      const int method = BytesService::MethodOf<Parsed>(false, true);
      BytesService::RequestWriter(service, method, &context, &request, &writer_, queue().cq(), tag);
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

// Read and Write may be under way at the same time, from two coroutines. With grpc::ByteBuffer for
// `Request` frames are not parsed, so that they can be measured before.
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
  // The same where the generated RequestX is for frames that are parsed: it only says which method.
  template <class Owner, class Parsed>
  requires(!std::is_same_v<Parsed, Request>) auto Accept(
      grpc::Service& service,
      void (Owner::*)(grpc::ServerContext*, grpc::ServerAsyncReaderWriter<Response, Parsed>*,
                      grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*)) {
    auto start = [this, &service](void* tag) {
      const int method = BytesService::MethodOf<Parsed>(true, true);
      BytesService::RequestStream(service, method, &context, &stream_, queue().cq(), tag);
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

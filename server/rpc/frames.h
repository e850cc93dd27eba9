// Frames of Watch and Decide as bytes, ready for gRPC's raw methods.
//
// Events were encoded once, when they were raised (EncodeEvent); a frame wraps those bytes.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>

#include "absl/time/time.h"
#include "postern/v1/hooks.pb.h"
#include "server/bridge/bridge.h"

namespace postern::rpc {

enum class StreamKind { kWatch, kDecide };

// `message` as gRPC sends it.
grpc::ByteBuffer ToBuffer(const google::protobuf::MessageLite& message);
// False unless `buffer` holds a `message`.
bool Parse(grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message);

// A WatchResponse or DecideResponse around one frame. REQUIRES: the frame is one for that kind.
grpc::ByteBuffer EncodeFrame(StreamKind kind, std::uint64_t epoch, const bridge::Frame& frame);
grpc::ByteBuffer EncodeHeartbeat(StreamKind kind, std::uint64_t epoch, std::uint64_t head_sequence);
grpc::ByteBuffer EncodeAttached(const bridge::Attached& attached);

// Events in a frame and their encoded bytes; 0 for frames of other kinds.
struct EventLoad {
  std::size_t events = 0;
  std::size_t bytes = 0;
};
EventLoad LoadOf(const bridge::Frame& frame);

}  // namespace postern::rpc

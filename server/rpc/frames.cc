#include "server/rpc/frames.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpc/slice.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <variant>
#include <vector>

#include "server/base/check.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_hooks.h"

namespace postern::rpc {
namespace {

using google::protobuf::io::CodedOutputStream;
using Wire = google::protobuf::internal::WireFormatLite;

// Events in an EventRun and in what stands around them, by field number.
constexpr int kEventsEpoch = v1::Events::kEpochFieldNumber;
constexpr int kEventsFirstPosition = v1::Events::kFirstPositionFieldNumber;
constexpr int kEventsEvents = v1::Events::kEventsFieldNumber;
constexpr int kEventSequence = v1::Event::kSequenceFieldNumber;

grpc::ByteBuffer FromSlice(grpc_slice raw) {
  const grpc::Slice slice(raw, grpc::Slice::STEAL_REF);
  return grpc::ByteBuffer(&slice, 1);
}

std::size_t TagSize(int field) {
  return CodedOutputStream::VarintSize32(Wire::MakeTag(field, Wire::WIRETYPE_VARINT));
}

std::size_t EventSize(const bridge::Event& event) {
  return TagSize(kEventSequence) + CodedOutputStream::VarintSize64(event.sequence) +
         event.encoded->size();
}

grpc::ByteBuffer EncodeRun(int frame_field, std::uint64_t epoch, const bridge::EventRun& run) {
  std::size_t body = TagSize(kEventsEpoch) + 8 + TagSize(kEventsFirstPosition) +
                     CodedOutputStream::VarintSize64(run.first_position);
  for (const bridge::Event& event : run.events) {
    const std::size_t size = EventSize(event);
    body += TagSize(kEventsEvents) +
            CodedOutputStream::VarintSize32(static_cast<std::uint32_t>(size)) + size;
  }
  const std::size_t total = TagSize(frame_field) +
                            CodedOutputStream::VarintSize32(static_cast<std::uint32_t>(body)) +
                            body;
  grpc_slice raw = grpc_slice_malloc(total);
  google::protobuf::io::ArrayOutputStream array(GRPC_SLICE_START_PTR(raw), static_cast<int>(total));
  {
    CodedOutputStream out(&array);
    out.WriteTag(Wire::MakeTag(frame_field, Wire::WIRETYPE_LENGTH_DELIMITED));
    out.WriteVarint32(static_cast<std::uint32_t>(body));
    out.WriteTag(Wire::MakeTag(kEventsEpoch, Wire::WIRETYPE_FIXED64));
    out.WriteLittleEndian64(epoch);
    out.WriteTag(Wire::MakeTag(kEventsFirstPosition, Wire::WIRETYPE_VARINT));
    out.WriteVarint64(run.first_position);
    for (const bridge::Event& event : run.events) {
      out.WriteTag(Wire::MakeTag(kEventsEvents, Wire::WIRETYPE_LENGTH_DELIMITED));
      out.WriteVarint32(static_cast<std::uint32_t>(EventSize(event)));
      out.WriteTag(Wire::MakeTag(kEventSequence, Wire::WIRETYPE_VARINT));
      out.WriteVarint64(event.sequence);
      out.WriteRaw(event.encoded->data(), static_cast<int>(event.encoded->size()));
    }
    POSTERN_CHECK(!out.HadError());
  }
  return FromSlice(raw);
}

// The frames that Watch and Decide share, by the setters of either response.
template <class Response>
grpc::ByteBuffer EncodeShared(std::uint64_t epoch, const bridge::Frame& frame) {
  Response response;
  if (const auto* gap = std::get_if<bridge::Gap>(&frame)) {
    ToProto(*gap, epoch, response.mutable_gap());
  } else if (const auto* snapshot = std::get_if<bridge::Snapshot>(&frame)) {
    ToProto(*snapshot, epoch, response.mutable_snapshot());
  } else if (const auto* draining = std::get_if<bridge::Draining>(&frame)) {
    *response.mutable_draining()->mutable_time_left() = ToProto(draining->time_left);
  }
  return ToBuffer(response);
}

template <class Response>
grpc::ByteBuffer HeartbeatOf(std::uint64_t epoch, std::uint64_t head_sequence) {
  Response response;
  response.mutable_heartbeat()->set_epoch(epoch);
  response.mutable_heartbeat()->set_head_sequence(head_sequence);
  return ToBuffer(response);
}

// The frames of Decide alone; false for others.
bool FillDecide(const bridge::Frame& frame, v1::DecideResponse* response) {
  if (const auto* questions = std::get_if<bridge::Questions>(&frame)) {
    for (const bridge::Question& question : *questions) {
      ToProto(question, response->mutable_questions()->add_questions());
    }
    return true;
  }
  if (const auto* cancelled = std::get_if<bridge::QuestionCancelled>(&frame)) {
    ToProto(*cancelled, response->mutable_question_cancelled());
    return true;
  }
  if (const auto* results = std::get_if<bridge::VerdictResults>(&frame)) {
    for (const bridge::VerdictResult& result : *results) {
      ToProto(result, response->mutable_verdict_results()->add_results());
    }
    return true;
  }
  return false;
}

}  // namespace

grpc::ByteBuffer ToBuffer(const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  grpc_slice raw = grpc_slice_malloc(size);
  message.SerializeWithCachedSizesToArray(GRPC_SLICE_START_PTR(raw));
  return FromSlice(raw);
}

bool Parse(grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message) {
  if (!buffer.Valid()) return false;
  grpc::ProtoBufferReader reader(&buffer);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

grpc::ByteBuffer EncodeFrame(StreamKind kind, std::uint64_t epoch, const bridge::Frame& frame) {
  if (const auto* run = std::get_if<bridge::EventRun>(&frame)) {
    const int field = kind == StreamKind::kWatch ? int{v1::WatchResponse::kEventsFieldNumber}
                                                 : int{v1::DecideResponse::kEventsFieldNumber};
    return EncodeRun(field, epoch, *run);
  }
  if (kind == StreamKind::kWatch) return EncodeShared<v1::WatchResponse>(epoch, frame);
  v1::DecideResponse response;
  if (FillDecide(frame, &response)) return ToBuffer(response);
  return EncodeShared<v1::DecideResponse>(epoch, frame);
}

grpc::ByteBuffer EncodeHeartbeat(StreamKind kind, std::uint64_t epoch,
                                 std::uint64_t head_sequence) {
  return kind == StreamKind::kWatch ? HeartbeatOf<v1::WatchResponse>(epoch, head_sequence)
                                    : HeartbeatOf<v1::DecideResponse>(epoch, head_sequence);
}

grpc::ByteBuffer EncodeAttached(const bridge::Attached& attached) {
  v1::DecideResponse response;
  ToProto(attached, response.mutable_attached());
  return ToBuffer(response);
}

EventLoad LoadOf(const bridge::Frame& frame) {
  const auto* run = std::get_if<bridge::EventRun>(&frame);
  if (run == nullptr) return {};
  EventLoad load{run->events.size(), 0};
  for (const bridge::Event& event : run->events) load.bytes += event.encoded->size();
  return load;
}

}  // namespace postern::rpc

// RequestReader: parses what a client has sent, once it is known how much that is.
//
//   RequestReader reader(metrics, "Delivery.Submit", {kMaxFrameBytes, kMaxFields});
//   absl::Status status = reader.Parse(bytes, &request);
//
// Parsed, a message takes up to a hundred times the memory of its bytes: an empty element of a list
// is two bytes on the wire. So its bytes are measured before, and where many are allowed, its
// fields are counted. Thread: one queue's.
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/metrics.h"
#include "server/rpc/frames.h"

namespace postern::rpc {

// Of a request or a frame that carries no mail and no configuration.
inline constexpr std::size_t kMaxRequestBytes = std::size_t{256} << 10;
// Of one that does: content, envelope and framing. Over that gRPC itself refuses it.
inline constexpr std::size_t kMaxFrameBytes = std::size_t{64} << 20;
// Of submissions that come together, at all depths; each recipient is one.
inline constexpr std::int64_t kMaxFields = 250'000;

struct RequestBounds {
  std::size_t bytes = kMaxRequestBytes;
  std::int64_t fields = std::numeric_limits<std::int64_t>::max();
};

// Counts the fields of a message that is not parsed yet, and of those inside.
class FieldCount {
 public:
  FieldCount(google::protobuf::io::CodedInputStream& in, std::int64_t most)
      : in_(in), left_(most) {}

  // More than `most`. What cannot be parsed counts as far as the parser gets.
  bool over() const { return left_ < 0; }

  // Reads a message of `type`, null for a group, which none of ours has. False: there is no going
  // on.
  bool Read(const google::protobuf::Descriptor* type, int depth = 0) {
    using Wire = google::protobuf::internal::WireFormatLite;
    if (depth > kMaxDepth) return false;
    while (const std::uint32_t tag = in_.ReadTag()) {
      const int number = Wire::GetTagFieldNumber(tag);
      if (Wire::GetTagWireType(tag) == Wire::WIRETYPE_END_GROUP) return type == nullptr;
      if (--left_ < 0) return false;
      bool whole = false;
      if (Wire::GetTagWireType(tag) == Wire::WIRETYPE_START_GROUP) {
        whole = Read(nullptr, depth + 1);
      } else if (Wire::GetTagWireType(tag) == Wire::WIRETYPE_LENGTH_DELIMITED) {
        whole = ReadDelimited(type == nullptr ? nullptr : type->FindFieldByNumber(number), depth);
      } else {
        whole = Wire::SkipField(&in_, tag);
      }
      if (!whole) return false;
    }
    return in_.ConsumedEntireMessage();
  }

 private:
  static constexpr int kMaxDepth = 100;  // the parser's own

  bool ReadDelimited(const google::protobuf::FieldDescriptor* field, int depth) {
    int length = 0;
    if (!in_.ReadVarintSizeAsInt(&length)) return false;
    if (field != nullptr && field->message_type() != nullptr) {
      const auto outer = in_.PushLimit(length);
      if (!Read(field->message_type(), depth + 1)) return false;
      in_.PopLimit(outer);
      return true;
    }
    // Packed numbers: one byte each at least.
    if (field != nullptr && field->is_packable()) left_ -= length;
    return left_ >= 0 && in_.Skip(length);
  }

  google::protobuf::io::CodedInputStream& in_;
  std::int64_t left_;
};

inline constexpr char kUnknownFieldsMetric[] = "postern_rpc_unknown_fields_total";
inline constexpr char kUnknownFieldsHelp[] =
    "Fields of requests, frames and submissions that this release does not know.";

class RequestReader {
 public:
  // `method` is "Delivery.Submit". `registry` must outlive this.
  RequestReader(base::Registry& registry, const std::string& method, RequestBounds bounds = {})
      : bounds_(bounds),
        unknown_(
            registry.AddCounter(kUnknownFieldsMetric, kUnknownFieldsHelp, {{"method", method}})) {}

  // Parses `bytes`, which are gone then, into `request`. RESOURCE_EXHAUSTED names the limit that
  // they are over; INTERNAL, as gRPC has it: they are no such message.
  absl::Status Parse(grpc::ByteBuffer& bytes, google::protobuf::Message* request) {
    absl::Status status = Measure(bytes, *request->GetDescriptor());
    if (status.ok() && !rpc::Parse(bytes, request)) {
      status = absl::InternalError("the request does not parse");
    }
    bytes.Clear();
    if (status.ok()) CountUnknown(*request);
    return status;
  }

  // Counts the fields at the top level of `message` that this release does not know. Parse() does
  // it with what it has parsed.
  void CountUnknown(const google::protobuf::Message& message) {
    const auto& unknown = message.GetReflection()->GetUnknownFields(message);
    if (!unknown.empty()) unknown_.Add(static_cast<std::uint64_t>(unknown.field_count()));
  }

 private:
  absl::Status Measure(grpc::ByteBuffer& bytes, const google::protobuf::Descriptor& type) const {
    if (bytes.Length() > bounds_.bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a request of ", bytes.Length(), " bytes, the limit is ", bounds_.bytes));
    }
    // So few bytes cannot be over.
    if (static_cast<std::int64_t>(bytes.Length()) <= bounds_.fields) return absl::OkStatus();
    grpc::ProtoBufferReader reader(&bytes);
    google::protobuf::io::CodedInputStream in(&reader);
    FieldCount count(in, bounds_.fields);
    count.Read(&type);
    if (!count.over()) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("a request of more than ", bounds_.fields,
                                                     " fields (each recipient is one), the limit"));
  }

  const RequestBounds bounds_;
  base::Counter& unknown_;
};

}  // namespace postern::rpc

// proto <-> values for the service Hooks. See convert.h; frames are put together in frames.h.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "postern/v1/hooks.pb.h"
#include "server/bridge/bridge.h"

namespace postern::rpc {

// The bridge's Encoder: the message Event without `sequence` and `epoch`.
std::string EncodeEvent(const bridge::EventData& event);

bridge::Filter ToFilter(const v1::Filter& filter);
// INVALID_ARGUMENT names the field.
absl::StatusOr<bridge::WatchRequest> ToWatch(const v1::WatchRequest& request);
absl::StatusOr<bridge::AttachRequest> ToAttach(const v1::Attach& attach, std::string identity);
// What is wrong with it stands in `denied`.
bridge::Verdict ToVerdict(v1::Verdict& verdict);

void ToProto(const bridge::Attached& attached, v1::Attached* out);
void ToProto(const bridge::Question& question, v1::Question* out);
void ToProto(const bridge::QuestionCancelled& cancelled, v1::QuestionCancelled* out);
void ToProto(const bridge::VerdictResult& result, v1::VerdictResult* out);
void ToProto(const bridge::Gap& gap, std::uint64_t epoch, v1::Gap* out);
void ToProto(const bridge::Snapshot& snapshot, std::uint64_t epoch, v1::Snapshot* out);
void ToProto(const bridge::ProviderStatus& provider, v1::RemoteProvider* out);

}  // namespace postern::rpc

// Values: how durations, sizes, numbers and enum names are written in the file.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace postern::config {

// "300ms", "30s", "5m", "1h30m", "5d", or "0": whole numbers with units, the larger unit first,
// each unit once. INVALID_ARGUMENT for anything else.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// "4KiB", "64MiB", "2GiB" or a plain number of bytes. INVALID_ARGUMENT for anything else.
absl::StatusOr<std::int64_t> ParseSize(absl::string_view text);

// A decimal number. INVALID_ARGUMENT if it is none or outside [min, max].
absl::StatusOr<std::int64_t> ParseInteger(absl::string_view text, std::int64_t min,
                                          std::int64_t max);
absl::StatusOr<std::uint64_t> ParseUnsigned(absl::string_view text, std::uint64_t max);

// `keep` for DEFAULT_VERDICT_KEEP. INVALID_ARGUMENT with the names there are; a value marked
// (value_not_served) is "not served yet".
absl::StatusOr<int> ParseEnum(absl::string_view text, const google::protobuf::EnumDescriptor& type);
// The reverse: "keep".
std::string ShortName(const google::protobuf::EnumValueDescriptor& value);

// "30s", "1h30m", "300ms": as ParseDuration reads it. REQUIRES: finite, not negative.
std::string DurationText(absl::Duration duration);

absl::Duration FromProto(const google::protobuf::Duration& duration);
google::protobuf::Duration ToProto(absl::Duration duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);
google::protobuf::Timestamp ToProto(absl::Time time);

// "64MiB", "4KiB" or a plain number: as ParseSize reads it.
std::string SizeText(std::int64_t bytes);

}  // namespace postern::config

#include "server/config/bounds.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/config/field_text.h"
#include "server/config/values.h"

namespace postern::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct NumberBounds {
  const char* field;  // after "postern.v1."
  std::int64_t min;
  std::int64_t max;
};
constexpr std::int64_t kMostInt = std::numeric_limits<std::int32_t>::max();
constexpr NumberBounds kNumbers[] = {
    {"Server.scheduler_threads", 1, 256},
    {"Server.spool_reserve_bytes", 0, std::int64_t{1} << 50},
    {"Server.keep_finished_messages", 0, kMostInt},
    {"Server.keep_outcomes_bytes", std::int64_t{64} << 10, std::int64_t{1} << 50},
    {"Server.max_queued_messages", 0, std::int64_t{1} << 40},
    {"Server.max_memory_bytes", 0, std::int64_t{1} << 50},
    {"LogFile.max_bytes", std::int64_t{1} << 20, std::int64_t{1} << 40},
    {"LogFile.keep_files", 0, 1000},
    {"Policy.max_streams", 1, 100'000},
    {"Policy.max_streams_per_identity", 1, 100'000},
    {"Policy.max_verdicts_per_second", 1, 10'000'000},
    {"Policy.event_ring_events", 1, 16'777'216},
    {"Options.max_outbound_connections", 1, 20'000},
    {"Options.max_connections_per_host", 1, 20'000},
    {"Options.server_max_outbound_connections", 1, 20'000},
    {"Options.mx_failures_to_delay", 1, 100'000},
    {"Options.max_deliveries_per_connection", 0, kMostInt},
    {"Options.max_recipients_per_connection", 0, kMostInt},
    {"Options.max_recipients_per_batch", 1, 10'000},
    {"Options.retry_jitter_percent", 0, 50},
    {"Options.max_retries", 0, kMostInt},
    {"Options.remote_smtp_port", 1, 65'535},
    {"Options.max_message_bytes", 1, std::int64_t{50} << 20},
    {"Gateway.port", 1, 65'535},
    {"Rate.count", 1, 1'000'000},
    {"Rate.burst", 1, 1'000'000},
};

struct FractionBounds {
  const char* field;
  double min;
  double max;
};
constexpr FractionBounds kFractions[] = {
    {"Policy.max_wait_share", 0.001, 1.0},
};

struct DurationBounds {
  const char* field;
  absl::Duration min;
  absl::Duration max;
};
constexpr absl::Duration kShortest = absl::Milliseconds(1);
constexpr DurationBounds kDurations[] = {
    {"Server.keep_finished_for", absl::ZeroDuration(), absl::Hours(30 * 24)},
    {"Server.keep_outcomes_for", absl::Minutes(1), absl::Hours(30 * 24)},
    {"Policy.timeout", kShortest, absl::Seconds(5)},
    {"PolicyProviderRule.max_timeout", kShortest, absl::Seconds(5)},
    {"Policy.event_ring_age", absl::Seconds(1), absl::Hours(24)},
    {"LogFile.max_age", absl::Minutes(1), absl::Hours(24 * 365)},
    {"Rate.per", kShortest, absl::Hours(24)},
    {"Options.connect_timeout", kShortest, absl::Hours(1)},
    {"Options.banner_timeout", kShortest, absl::Hours(1)},
    {"Options.ehlo_timeout", kShortest, absl::Hours(1)},
    {"Options.mailfrom_timeout", kShortest, absl::Hours(1)},
    {"Options.rcptto_timeout", kShortest, absl::Hours(1)},
    {"Options.data_timeout", kShortest, absl::Hours(1)},
    {"Options.block_timeout", kShortest, absl::Hours(1)},
    {"Options.body_timeout", kShortest, absl::Hours(1)},
    {"Options.rset_timeout", kShortest, absl::Hours(1)},
    {"Options.quit_timeout", kShortest, absl::Hours(1)},
    {"Options.starttls_timeout", kShortest, absl::Hours(1)},
    {"Options.mx_lookup_timeout", kShortest, absl::Hours(1)},
    {"Options.idle_timeout", absl::ZeroDuration(), absl::Hours(1)},
    {"Options.drain_budget", absl::ZeroDuration(), absl::Hours(1)},
    {"Options.host_failure_retry", kShortest, absl::Hours(24)},
    // A waiting time of nothing would be a loop as fast as the receiver can refuse.
    {"Options.retry_schedule", kShortest, absl::Hours(24 * 30)},
    {"Options.message_expiration", absl::Seconds(1), absl::Hours(24 * 30)},
};

template <typename Bounds>
absl::flat_hash_map<std::string, const Bounds*> Index(const Bounds* begin, const Bounds* end) {
  absl::flat_hash_map<std::string, const Bounds*> index;
  for (const Bounds* b = begin; b != end; ++b) {
    index.emplace(absl::StrCat("postern.v1.", b->field), b);
  }
  return index;
}

const NumberBounds* NumberBoundsOf(const FieldDescriptor& field) {
  static const auto* const index =
      new absl::flat_hash_map(Index(std::begin(kNumbers), std::end(kNumbers)));
  const auto found = index->find(field.full_name());
  return found == index->end() ? nullptr : found->second;
}

const FractionBounds* FractionBoundsOf(const FieldDescriptor& field) {
  static const auto* const index =
      new absl::flat_hash_map(Index(std::begin(kFractions), std::end(kFractions)));
  const auto found = index->find(field.full_name());
  return found == index->end() ? nullptr : found->second;
}

const DurationBounds* DurationBoundsOf(const FieldDescriptor& field) {
  static const auto* const index =
      new absl::flat_hash_map(Index(std::begin(kDurations), std::end(kDurations)));
  const auto found = index->find(field.full_name());
  return found == index->end() ? nullptr : found->second;
}

void CheckDuration(const google::protobuf::Duration& value, const DurationBounds& bounds,
                   const std::string& path, Problems& problems) {
  // Outside this, protobuf's Duration is not defined (a file cannot have it, a call can).
  if (value.nanos() <= -1'000'000'000 || value.nanos() >= 1'000'000'000) {
    return problems.Add(path, "not a duration: nanos out of range");
  }
  const absl::Duration duration = FromProto(value);
  if (duration >= bounds.min && duration <= bounds.max) return;
  problems.Add(
      path,
      absl::StrCat("must be ", DurationText(bounds.min), " to ", DurationText(bounds.max), ", not ",
                   duration < absl::ZeroDuration() ? "negative" : DurationText(duration)));
}

void CheckNumber(const Message& message, const FieldDescriptor& field, const NumberBounds& bounds,
                 const std::string& path, Problems& problems) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::int64_t value = 0;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
    value = reflection.GetUInt32(message, &field);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    value = static_cast<std::int64_t>(std::min(reflection.GetUInt64(message, &field), kMost));
  } else {
    value = reflection.GetInt64(message, &field);
  }
  if (value >= bounds.min && value <= bounds.max) return;
  problems.Add(path, absl::StrCat("must be ", bounds.min, " to ", bounds.max, ", not ", value));
}

}  // namespace

bool HasBounds(const FieldDescriptor& field) {
  return NumberBoundsOf(field) != nullptr || FractionBoundsOf(field) != nullptr ||
         DurationBoundsOf(field) != nullptr;
}

void CheckBounds(const Message& message, const std::string& path, Problems& problems) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string where = Join(path, field->name());
    if (const NumberBounds* bounds = NumberBoundsOf(*field)) {
      CheckNumber(message, *field, *bounds, where, problems);
      continue;
    }
    if (const FractionBounds* bounds = FractionBoundsOf(*field)) {
      const double value = reflection.GetDouble(message, field);
      // Written so that NaN is refused.
      if (!(value >= bounds->min && value <= bounds->max)) {
        problems.Add(where, absl::StrCat("must be ", bounds->min, " to ", bounds->max));
      }
      continue;
    }
    if (field->is_map() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const DurationBounds* bounds = DurationBoundsOf(*field);
    const auto check = [&](const Message& child, const std::string& at) {
      if (!IsDuration(*field)) return CheckBounds(child, at, problems);
      if (bounds == nullptr) return;
      CheckDuration(static_cast<const google::protobuf::Duration&>(child), *bounds, at, problems);
    };
    if (!field->is_repeated()) {
      check(reflection.GetMessage(message, field), where);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      check(reflection.GetRepeatedMessage(message, field, i), Element(where, i));
    }
  }
}

}  // namespace postern::config

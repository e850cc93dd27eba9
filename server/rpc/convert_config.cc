#include "server/rpc/convert_config.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/config/redact.h"
#include "server/config/yaml_text.h"
#include "server/rpc/convert.h"

namespace postern::rpc {
namespace {

constexpr absl::Duration kLongest = absl::Hours(24 * 30);

}  // namespace

absl::StatusOr<config::LiveConfig::ApplyRequest> ToApply(v1::ApplyConfigRequest& request,
                                                         std::string caller) {
  config::LiveConfig::ApplyRequest out;
  switch (request.what_case()) {
    case v1::ApplyConfigRequest::kConfig:
      out.what = std::move(*request.mutable_config());
      break;
    case v1::ApplyConfigRequest::kYaml:
      out.what = std::move(*request.mutable_yaml());
      break;
    case v1::ApplyConfigRequest::kFile:
      if (!request.file()) return absl::InvalidArgumentError("file: can only be true");
      out.what = config::LiveConfig::File();
      break;
    case v1::ApplyConfigRequest::WHAT_NOT_SET:
      return absl::InvalidArgumentError("what: one of config, yaml and file must be set");
  }
  if (request.reason().size() > kMaxControlReasonBytes) {
    return absl::InvalidArgumentError("reason: more than 256 bytes");
  }
  if (request.has_duration()) {
    const absl::StatusOr<absl::Duration> duration =
        PositiveDuration(request.duration(), "duration", kLongest);
    if (!duration.ok()) return duration.status();
    if (*duration < absl::Seconds(1) || request.file()) {
      return absl::InvalidArgumentError("duration: must be 1s to 30d, and not with file");
    }
    out.duration = *duration;
  }
  out.validate_only = request.validate_only();
  out.if_generation = request.if_generation();
  out.by = std::move(caller);
  out.reason = request.reason();
  return out;
}

void ToProto(const config::LiveConfig::InForce& in_force, v1::GetConfigResponse* out) {
  *out->mutable_config() = config::Redacted(*in_force.config);
  out->set_yaml(config::ToYaml(out->config()));
  out->set_generation(in_force.generation);
  out->set_file(in_force.file);
  if (in_force.applied.has_value()) *out->mutable_applied() = *in_force.applied;
  for (const std::string& path : in_force.needs_restart) out->add_needs_restart(path);
}

void ToProto(const config::LiveConfig::Outcome& outcome, v1::ApplyConfigResponse* out) {
  out->set_generation(outcome.generation);
  for (const config::Problem& problem : outcome.errors) {
    v1::ConfigError* error = out->add_errors();
    error->set_path(problem.path);
    error->set_message(Utf8(problem.cause));
    error->set_line(static_cast<std::uint32_t>(problem.line));
  }
  for (const std::string& path : outcome.needs_restart) out->add_needs_restart(path);
}

}  // namespace postern::rpc

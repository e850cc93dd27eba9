// Wiring: what main.cc builds from the configuration's values. Pure conversions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "postern/v1/config.pb.h"
#include "server/bridge/audit_log.h"
#include "server/config/settings.h"
#include "server/delivery/admission.h"
#include "server/delivery/dispatcher.h"
#include "server/delivery/disposition_log.h"
#include "server/hooks/module_loader.h"
#include "server/rpc/server.h"
#include "server/spool/rocks_spool.h"

namespace postern {

std::vector<hooks::ModuleSpec> MakeModuleSpecs(const v1::Config& config, const std::string& file);
spool::RocksSpool::Options MakeSpoolOptions(const config::Settings& settings,
                                            base::Registry* registry);
delivery::Watermarks MakeWatermarks(const config::Settings& settings);
// Disk and memory as they are, for Admission. REQUIRES: `spool` outlives it.
delivery::Admission::Read MakeAdmissionRead(const config::Settings& settings,
                                            const spool::Spool& spool);
// Null if none is configured. INVALID_ARGUMENT naming the setting, the file and the cause.
absl::StatusOr<std::unique_ptr<delivery::DispositionLog>> OpenDispositionLog(
    const config::LogFile& file, const base::Clock& clock, base::Registry& registry);
absl::StatusOr<std::unique_ptr<bridge::AuditLog>> OpenAuditLog(const config::LogFile& file,
                                                               const base::Clock& clock,
                                                               base::Registry& registry);
delivery::Dispatcher::Options MakeDeliveryOptions(const config::Settings& settings);

// Reads the certificates, keys and password files that options name, in all scopes. The first
// problem, with the file that holds the configuration, the key's path and the cause.
absl::Status CheckSessionFiles(const v1::Config& config, const std::string& file);

// `address` as configured, with the port that is really listened on in place of 0.
std::string BoundAddress(const std::string& address, int port);

// Every chain with its providers, as rpc lists them.
std::vector<rpc::ChainProvider> ListChains();

}  // namespace postern

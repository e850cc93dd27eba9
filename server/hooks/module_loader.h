// LoadModules and what follows it: native modules, from the file to their end.
//
// A module is a shared object that exports `postern_module` (hooks/module.h). The order of calls is
// in registry.h. Modules are never unloaded: a chain, a thread or the leak checker may point into
// them. Thread: the main thread, for all of it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace postern::hooks {

struct ModuleSpec {
  std::string name;  // unique; in lists, metrics, logs and causes. Empty: the module's own
  std::string path;  // of the .so
  std::vector<std::pair<std::string, std::string>> options;
  std::string config_where;  // "postern.yaml:12: modules[0]", for messages
};

// Loads every module in order and runs its conf_setup. The first that fails ends it: unreadable or
// not a shared object, no symbol postern_module, another ABI version, incomplete, a name that is
// taken, loaded twice, conf_setup failed. The message names module, path, place in the
// configuration and cause, and the service must not start: what has been registered so far stays.
absl::Status LoadModules(absl::Span<const ModuleSpec> specs);

// Calls ext_init of every module in the order of loading. The first failure ends it and names the
// module. REQUIRES: FreezeHooks() has been called.
absl::Status RunExtInit();

// Calls shutdown of every module whose ext_init succeeded, in reverse order, once.
// REQUIRES: no hook is being called, and none will be.
void ShutdownModules();

}  // namespace postern::hooks

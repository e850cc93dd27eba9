#include "server/hooks/module_loader.h"

#include <dlfcn.h>
#include <string.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "hooks/module.h"
#include "server/base/log.h"
#include "server/hooks/registry.h"

namespace postern::hooks {
namespace {

constexpr std::size_t kLongestWhyBytes = 256;

// What the module that is being called gave as its reason, by ec_module_fail.
thread_local std::string why_failed;

std::string FailedCall(absl::string_view function) {
  if (why_failed.empty()) return absl::StrCat(function, " failed and gave no reason");
  return absl::StrCat(function, " failed: ", why_failed);
}

absl::StatusOr<const ec_module*> Open(const std::string& path) {
  // NOW: a symbol that the daemon does not have is an error at start, not in the middle of a call.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* cause = dlerror();
    return absl::FailedPreconditionError(cause != nullptr ? cause : "cannot be loaded");
  }
  const auto* module = static_cast<const ec_module*>(dlsym(handle, "postern_module"));
  if (module == nullptr) {
    return absl::FailedPreconditionError("does not export the symbol postern_module");
  }
  // First, and before any other member is read: their layout depends on it.
  if (module->abi_version != EC_MODULE_ABI_VERSION) {
    return absl::FailedPreconditionError(absl::StrCat("is built for ABI version ",
                                                      module->abi_version, ", this is version ",
                                                      EC_MODULE_ABI_VERSION));
  }
  if (module->name == nullptr || module->version == nullptr || module->conf_setup == nullptr) {
    return absl::FailedPreconditionError("postern_module lacks name, version or conf_setup");
  }
  return module;
}

absl::Status SetUp(const ModuleSpec& spec) {
  absl::StatusOr<const ec_module*> module = Open(spec.path);
  if (!module.ok()) return module.status();
  for (const Provider* known : Providers()) {
    if (known->module == *module) {
      return absl::AlreadyExistsError(absl::StrCat("is loaded already, as \"", known->name, "\""));
    }
  }
  absl::StatusOr<Provider*> provider =
      AddProvider(spec.name.empty() ? (*module)->name : absl::string_view(spec.name),
                  ProviderKind::kNative, *module);
  if (!provider.ok()) return provider.status();

  std::vector<ec_option> options;
  for (const auto& [key, value] : spec.options) options.push_back({key.c_str(), value.c_str()});
  why_failed.clear();
  const RegistrationScope scope(*provider);
  if ((*module)->conf_setup(options.data(), options.size()) != 0) {
    return absl::FailedPreconditionError(FailedCall("conf_setup"));
  }
  base::Log().info("hooks: module {} loaded: {} {} from {}", (*provider)->name, (*module)->name,
                   (*module)->version, spec.path);
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadModules(absl::Span<const ModuleSpec> specs) {
  for (const ModuleSpec& spec : specs) {
    const absl::Status status = SetUp(spec);
    if (status.ok()) continue;
    return absl::Status(
        status.code(),
        absl::StrCat(spec.config_where, spec.config_where.empty() ? "" : ": ", "module \"",
                     spec.name, "\" (", spec.path, "): ", status.message()));
  }
  return absl::OkStatus();
}

absl::Status RunExtInit() {
  for (Provider* provider : Providers()) {
    if (provider->module == nullptr) continue;
    why_failed.clear();
    if (provider->module->ext_init != nullptr && provider->module->ext_init() != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("module \"", provider->name, "\": ", FailedCall("ext_init")));
    }
    provider->initialized = true;
  }
  return absl::OkStatus();
}

void ShutdownModules() {
  std::vector<Provider*> providers = Providers();
  for (auto it = providers.rbegin(); it != providers.rend(); ++it) {
    Provider& provider = **it;
    if (!provider.initialized) continue;
    provider.initialized = false;
    if (provider.module->shutdown != nullptr) provider.module->shutdown();
  }
}

}  // namespace postern::hooks

int ec_module_fail(const char* why) {
  postern::hooks::why_failed.assign(why, strnlen(why, postern::hooks::kLongestWhyBytes));
  return -1;
}

// Who is registered in which chain: providers, the time when registration is legal, and the counts.
//
// The C API forces one registry per process; it lives here and nowhere else. A provider is a module
// or one of the server's own (the bridge). Startup, on the main thread:
//
//   LoadModules(specs);                                    // module_loader.h
//   RegisterServerProvider("bridge", [&] { register_core_..._hook_last(Observe, &bridge); });
//   FreezeHooks();                                         // from here on reads need no lock
//   RunExtInit();                                          // module_loader.h
//
// Thread: everything up to FreezeHooks on one thread, before the scheduler threads exist; what is
// said to be for any thread, afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hooks/module.h"

namespace postern::hooks {

enum class ProviderKind {
  kNative,  // a module
  kBridge,  // the server's own, which speaks for remote policy
};

// Lives until the process ends: chains and records point to it.
struct Provider {
  std::string name;
  ProviderKind kind = ProviderKind::kNative;
  const ec_module* module = nullptr;  // null for the server's own
  bool initialized = false;           // ext_init succeeded, or there is none
};

struct ProviderInfo {
  std::string hook;  // "smtp_should_session_shutdown"
  std::string provider;
  ProviderKind kind = ProviderKind::kNative;
  std::uint64_t calls = 0;
  std::uint64_t non_zero = 0;  // calls that ended the chain; 0 for a void hook
  absl::Duration total, slowest;
};

// Every registration in every chain: hook by hook, in the order in which the chain runs.
// Thread: any, once the chains are frozen.
std::vector<ProviderInfo> ListProviders();

// The names of all hooks, also of those without a provider, in the same order. Thread: any.
std::vector<std::string> ListHooks();

// Adds a provider of the server's own and runs `registration` with registration open: it calls the
// register_ functions of the C API, `_first` or `_last` as its place is configured.
// ALREADY_EXISTS: the name is taken; FAILED_PRECONDITION: the chains are frozen.
absl::Status RegisterServerProvider(absl::string_view name, absl::FunctionRef<void()> registration);

// Ends registration for good.
void FreezeHooks();

// The provider whose return ended the last chain on this thread that was ended by one. Meant to be
// asked right after a call_ function returned non-zero. Null if there was none. Thread: any.
const Provider* DecidingProvider();

// ---- for the chains and the module loader ----

// Errors as for RegisterServerProvider. The pointer is valid until the process ends.
absl::StatusOr<Provider*> AddProvider(absl::string_view name, ProviderKind kind,
                                      const ec_module* module);

// In the order in which they were added.
std::vector<Provider*> Providers();

// Registration is legal, in the name of `provider`, on this thread, while this lives.
class RegistrationScope {
 public:
  explicit RegistrationScope(const Provider* provider);
  ~RegistrationScope();
  RegistrationScope(const RegistrationScope&) = delete;
  RegistrationScope& operator=(const RegistrationScope&) = delete;
};

// The provider that may register on this thread now; null, and an error in the log that names
// `hook`, when there is none or when what it registers is a null pointer.
const Provider* RegisteringProvider(absl::string_view hook, bool callable);

void SetDecidingProvider(const Provider* provider);

// Empties all chains and forgets all providers, as if the process had just started; a module that
// is loaded stays mapped, and its static data keeps its values.
void ResetHooksForTest();

}  // namespace postern::hooks

#include "server/hooks/registry.h"

#include <deque>

#include "absl/strings/str_cat.h"
#include "server/base/check.h"
#include "server/base/log.h"
#include "server/hooks/hook_chain.h"

namespace postern::hooks {
namespace {

struct Registry {
  std::vector<ChainBase*> chains;  // in the order of core_hooks.cc
  std::deque<Provider> providers;  // addresses stay
  bool frozen = false;
};

// Made by the first chain, before main; never destroyed, since chains are cleared after it would
// be.
Registry& TheRegistry() {
  static Registry& registry = *new Registry;
  return registry;
}

// Per thread, so that a thread which a module starts in conf_setup cannot register beside it.
thread_local const Provider* registering = nullptr;
thread_local const Provider* deciding = nullptr;

}  // namespace

ChainBase::ChainBase(const char* hook_name) : hook_name_(hook_name) {
  TheRegistry().chains.push_back(this);
}

ProviderInfo LinkBase::Info() const {
  ProviderInfo info;
  info.hook = hook_name_;
  info.provider = provider_->name;
  info.kind = provider_->kind;
  info.calls = calls_.load(std::memory_order_relaxed);
  info.non_zero = non_zero_.load(std::memory_order_relaxed);
  info.total = absl::Nanoseconds(total_.load(std::memory_order_relaxed));
  info.slowest = absl::Nanoseconds(slowest_.load(std::memory_order_relaxed));
  return info;
}

void LinkBase::CountSlowest(Nanos took) {
  Nanos known = slowest_.load(std::memory_order_relaxed);
  while (took > known && !slowest_.compare_exchange_weak(known, took, std::memory_order_relaxed)) {
  }
}

void LinkBase::LogSlowCall(Nanos took, Nanos now) {
  Nanos last = last_logged_.load(std::memory_order_relaxed);
  if (now - last < kLogInterval) return;
  // Of threads that come here at once, one logs.
  if (!last_logged_.compare_exchange_strong(last, now, std::memory_order_relaxed)) return;
  base::Log().warn("hooks: {}: provider {} took {} us; providers must not block", hook_name_,
                   provider_->name, took / 1000);
}

std::vector<ProviderInfo> ListProviders() {
  std::vector<ProviderInfo> infos;
  for (const ChainBase* chain : TheRegistry().chains) chain->AppendInfo(infos);
  return infos;
}

std::vector<std::string> ListHooks() {
  std::vector<std::string> names;
  for (const ChainBase* chain : TheRegistry().chains) names.emplace_back(chain->hook_name());
  return names;
}

absl::StatusOr<Provider*> AddProvider(absl::string_view name, ProviderKind kind,
                                      const ec_module* module) {
  Registry& registry = TheRegistry();
  if (registry.frozen) {
    return absl::FailedPreconditionError(
        absl::StrCat("provider \"", name, "\" comes after the hook chains were frozen"));
  }
  for (const Provider& known : registry.providers) {
    if (name == known.name) {
      return absl::AlreadyExistsError(absl::StrCat("there is a provider \"", name, "\" already"));
    }
  }
  registry.providers.push_back({std::string(name), kind, module, false});
  return &registry.providers.back();
}

absl::Status RegisterServerProvider(absl::string_view name,
                                    absl::FunctionRef<void()> registration) {
  absl::StatusOr<Provider*> provider = AddProvider(name, ProviderKind::kBridge, nullptr);
  if (!provider.ok()) return provider.status();
  const RegistrationScope scope(*provider);
  registration();
  return absl::OkStatus();
}

void FreezeHooks() { TheRegistry().frozen = true; }

std::vector<Provider*> Providers() {
  std::vector<Provider*> all;
  for (Provider& provider : TheRegistry().providers) all.push_back(&provider);
  return all;
}

RegistrationScope::RegistrationScope(const Provider* provider) {
  POSTERN_CHECK(registering == nullptr && !TheRegistry().frozen);
  registering = provider;
}

RegistrationScope::~RegistrationScope() { registering = nullptr; }

const Provider* RegisteringProvider(absl::string_view hook, bool callable) {
  if (registering == nullptr) {
    base::Log().error("hooks: registration for {} refused: legal only inside conf_setup", hook);
    return nullptr;
  }
  if (!callable) {
    base::Log().error("hooks: registration for {} by {} refused: a null pointer", hook,
                      registering->name);
    return nullptr;
  }
  return registering;
}

const Provider* DecidingProvider() { return deciding; }
void SetDecidingProvider(const Provider* provider) { deciding = provider; }

void ResetHooksForTest() {
  Registry& registry = TheRegistry();
  for (ChainBase* chain : registry.chains) chain->Clear();
  registry.providers.clear();
  registry.frozen = false;
  deciding = nullptr;
}

}  // namespace postern::hooks

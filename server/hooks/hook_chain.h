// HookChain<Fn>: the providers of one hook, in order; and what each of them costs.
//
//   HookChain<ec_hook_core_x_func_t> chain("x");
//   for (auto* link = chain.first(); link != nullptr; link = link->next()) {
//     const CallTimer timer(*link);
//     link->hook(link->closure, ...);
//   }
//
// Written to while the process starts, on one thread, and frozen before the first scheduler thread
// exists, so a call takes no lock: an empty chain costs one load and one branch, a provider two
// reads of the clock and three relaxed atomics. Thread: calls from any, at once.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "server/hooks/registry.h"

namespace postern::hooks {

// One registration of a provider: what does not depend on the hook's signature.
class LinkBase {
 public:
  using Nanos = std::int64_t;

  LinkBase(const char* hook_name, const Provider* provider)
      : hook_name_(hook_name), provider_(provider) {}
  LinkBase(const LinkBase&) = delete;
  LinkBase& operator=(const LinkBase&) = delete;

  void CountCall(Nanos start, Nanos end) {
    const Nanos took = end - start;
    calls_.fetch_add(1, std::memory_order_relaxed);
    total_.fetch_add(took, std::memory_order_relaxed);
    if (took > slowest_.load(std::memory_order_relaxed)) CountSlowest(took);
    if (took > kSlowCall) LogSlowCall(took, end);
  }

  // This provider has ended the chain.
  void CountDecision() {
    non_zero_.fetch_add(1, std::memory_order_relaxed);
    SetDecidingProvider(provider_);
  }

  ProviderInfo Info() const;

 private:
  // Longer ones are logged, at most once in kLogInterval for each registration.
  static constexpr Nanos kSlowCall = 1'000'000;
  static constexpr Nanos kLogInterval = 1'000'000'000;

  void CountSlowest(Nanos took);
  void LogSlowCall(Nanos took, Nanos now);

  const char* const hook_name_;
  const Provider* const provider_;
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<std::uint64_t> non_zero_{0};
  std::atomic<Nanos> total_{0};
  std::atomic<Nanos> slowest_{0};
  std::atomic<Nanos> last_logged_{-kLogInterval};
};

// Times one call of a provider, from construction to destruction.
class CallTimer {
 public:
  explicit CallTimer(LinkBase& link) : link_(link), start_(Now()) {}
  ~CallTimer() { link_.CountCall(start_, Now()); }
  CallTimer(const CallTimer&) = delete;
  CallTimer& operator=(const CallTimer&) = delete;

 private:
  static LinkBase::Nanos Now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  LinkBase& link_;
  const LinkBase::Nanos start_;
};

// What the registry knows of a chain. Chains are objects of static storage.
class ChainBase {
 public:
  explicit ChainBase(const char* hook_name);
  ChainBase(const ChainBase&) = delete;
  ChainBase& operator=(const ChainBase&) = delete;

  const char* hook_name() const { return hook_name_; }
  virtual void AppendInfo(std::vector<ProviderInfo>& infos) const = 0;
  virtual void Clear() = 0;

 protected:
  ~ChainBase() = default;  // never deleted through the base

 private:
  const char* const hook_name_;
};

template <typename Fn>
class HookChain final : public ChainBase {
 public:
  class Link final : public LinkBase {
   public:
    Link(const char* hook_name, const Provider* provider, Fn* hook_function, void* hook_closure)
        : LinkBase(hook_name, provider), hook(hook_function), closure(hook_closure) {}
    Link* next() const { return next_; }

    Fn* const hook;
    void* const closure;

   private:
    friend class HookChain;
    Link* next_ = nullptr;
  };

  using ChainBase::ChainBase;
  ~HookChain() { Clear(); }

  bool empty() const { return first_ == nullptr; }
  Link* first() const { return first_; }

  // Both refuse, with an error in the log and nothing else, when it is not the time to register.
  void AddFirst(Fn* hook, void* closure) { Insert(&first_, hook, closure); }
  void AddLast(Fn* hook, void* closure) {
    Link** end = &first_;
    while (*end != nullptr) end = &(*end)->next_;
    Insert(end, hook, closure);
  }

  void AppendInfo(std::vector<ProviderInfo>& infos) const override {
    for (const Link* link = first_; link != nullptr; link = link->next_) {
      infos.push_back(link->Info());
    }
  }

  void Clear() override {
    while (first_ != nullptr) {
      const Link* link = first_;
      first_ = first_->next_;
      delete link;
    }
  }

 private:
  void Insert(Link** place, Fn* hook, void* closure) {
    const Provider* provider = RegisteringProvider(hook_name(), hook != nullptr);
    if (provider == nullptr) return;
    auto* link = new Link(hook_name(), provider, hook, closure);
    link->next_ = *place;
    *place = link;
  }

  Link* first_ = nullptr;
};

}  // namespace postern::hooks

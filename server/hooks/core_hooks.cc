// The one file that gives the hooks of hooks/core/ their bodies, by reading their headers again.
//
// A new hook is a header there and an include line at the end of this file. The room is an OBJECT
// library: an archive would drop this file wherever the program itself calls none of the hooks.
#include "server/hooks/hook_chain.h"
#include "server/hooks/records.h"

// Empty so far, as for every other includer of hooks/module-hooks.h.
#undef EC_HOOK_VOID_BODY
#undef EC_HOOK_VALUE_BODY

#define EC_HOOK_CLOSURE ec_link->closure
#define EC_HOOK_RETVAL ec_retval
#define EC_HOOK_RETURN(value) \
  do {                        \
    ec_link->CountDecision(); \
    return (value);           \
  } while (false)

#define EC_HOOK_CHAIN(scope, name)                                                    \
  namespace {                                                                         \
  postern::hooks::HookChain<ec_hook_##scope##_##name##_func_t> scope##_##name(#name); \
  }                                                                                   \
  int has_##scope##_##name##_hook(void) { return scope##_##name.empty() ? 0 : 1; }    \
  void register_##scope##_##name##_hook_first(ec_hook_##scope##_##name##_func_t hook, \
                                              void* closure) {                        \
    scope##_##name.AddFirst(hook, closure);                                           \
  }                                                                                   \
  void register_##scope##_##name##_hook_last(ec_hook_##scope##_##name##_func_t hook,  \
                                             void* closure) {                         \
    scope##_##name.AddLast(hook, closure);                                            \
  }

#define EC_HOOK_VOID_BODY(scope, name, args, call)                                                \
  EC_HOOK_CHAIN(scope, name)                                                                      \
  void call_##scope##_##name##_hook args {                                                        \
    for (auto* ec_link = scope##_##name.first(); ec_link != nullptr; ec_link = ec_link->next()) { \
      const postern::hooks::CallTimer ec_timer(*ec_link);                                         \
      ec_link->hook call;                                                                         \
    }                                                                                             \
  }

#define EC_HOOK_VALUE_BODY(scope, type, name, args, call, handle_return)                          \
  EC_HOOK_CHAIN(scope, name)                                                                      \
  type call_##scope##_##name##_hook args {                                                        \
    for (auto* ec_link = scope##_##name.first(); ec_link != nullptr; ec_link = ec_link->next()) { \
      type ec_retval{};                                                                           \
      {                                                                                           \
        const postern::hooks::CallTimer ec_timer(*ec_link);                                       \
        ec_retval = ec_link->hook call;                                                           \
      }                                                                                           \
      handle_return;                                                                              \
    }                                                                                             \
    return type{};                                                                                \
  }

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"

/* module-hooks.h - how a hook is declared.
 *
 * NAME
 *   EC_DECLARE_VOID_HOOK, EC_DECLARE_HOOK - declare a hook, once
 *
 * SYNOPSIS
 *   EC_DECLARE_VOID_HOOK(scope, name, (types), (args), (call))
 *   EC_DECLARE_HOOK(scope, type, name, (types), (args), (call), handle-return)
 *
 * DESCRIPTION
 *   Each header under hooks/<scope>/ declares one hook by one of these macros. From it come, for a
 *   hook `name` of scope `core` that returns `type`:
 *
 *     ec_hook_core_<name>_func_t            type of a provider: a function type
 *     int  has_core_<name>_hook(void)       non-zero when any provider is registered
 *     void register_core_<name>_hook_first(ec_hook_core_<name>_func_t hook, void *closure)
 *     void register_core_<name>_hook_last(ec_hook_core_<name>_func_t hook, void *closure)
 *     type call_core_<name>_hook(args)      runs the chain; for the server, not for modules
 *
 *   (types)        parameter list of a provider; the closure, a void *, comes first
 *   (args)         parameter list of call_core_<name>_hook: the same without the closure
 *   (call)         what each provider is called with: EC_HOOK_CLOSURE, then the names of args
 *   handle-return  a statement that runs after each provider of a hook that returns a value: it
 *                  reads EC_HOOK_RETVAL and may end the chain by EC_HOOK_RETURN(value). A chain
 *                  that nobody ends returns 0.
 *
 *   For everyone the macros expand to these prototypes. One file of the server reads the same
 *   headers again with EC_HOOK_VOID_BODY and EC_HOOK_VALUE_BODY defined, and so gives them bodies:
 *   a new hook is one header and one include line.
 *
 * CHAINS
 *   `_first` puts a provider ahead of all that are registered so far, `_last` behind them. Modules
 *   register in the order in which the configuration names them. Registration is legal only inside
 *   conf_setup of a module (hooks/module.h); at any other time it is refused, an error that names
 *   the hook is logged, and nothing else happens.
 *
 * THREADING
 *   Providers run on the scheduler thread that owns the (domain, binding) pair and must not block.
 *   Providers for different domains run on several threads at once: a module protects what its
 *   calls share. A call that takes over 1 ms is logged with the module's name.
 */
#ifndef HOOKS_MODULE_HOOKS_H_
#define HOOKS_MODULE_HOOKS_H_

#ifdef __cplusplus
#define EC_C_LINKAGE extern "C"
#else
#define EC_C_LINKAGE extern
#endif

/* What crosses the border between server and module; everything else may be hidden. */
#define EC_HOOK_API __attribute__((visibility("default")))

#define EC_HOOK_PROTOTYPES(scope, type, name, types, args)              \
  EC_C_TYPEDEF type ec_hook_##scope##_##name##_func_t types;            \
  EC_C_LINKAGE EC_HOOK_API int has_##scope##_##name##_hook(void);       \
  EC_C_LINKAGE EC_HOOK_API void register_##scope##_##name##_hook_first( \
      ec_hook_##scope##_##name##_func_t hook, void *closure);           \
  EC_C_LINKAGE EC_HOOK_API void register_##scope##_##name##_hook_last(  \
      ec_hook_##scope##_##name##_func_t hook, void *closure);           \
  EC_C_LINKAGE EC_HOOK_API type call_##scope##_##name##_hook args;

/* In C++ a function type carries its language linkage, too. */
#ifdef __cplusplus
#define EC_C_TYPEDEF extern "C" typedef
#else
#define EC_C_TYPEDEF typedef
#endif

/* Empty for everyone but the file of the server that gives the hooks their bodies. */
#ifndef EC_HOOK_VOID_BODY
#define EC_HOOK_VOID_BODY(scope, name, args, call)
#define EC_HOOK_VALUE_BODY(scope, type, name, args, call, handle_return)
#endif

#define EC_DECLARE_VOID_HOOK(scope, name, types, args, call) \
  EC_HOOK_PROTOTYPES(scope, void, name, types, args)         \
  EC_HOOK_VOID_BODY(scope, name, args, call)

#define EC_DECLARE_HOOK(scope, type, name, types, args, call, handle_return) \
  EC_HOOK_PROTOTYPES(scope, type, name, types, args)                         \
  EC_HOOK_VALUE_BODY(scope, type, name, args, call, handle_return)

#endif /* HOOKS_MODULE_HOOKS_H_ */

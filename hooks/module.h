/* module.h - what a module exports.
 *
 * NAME
 *   postern_module - the one symbol by which the server finds a module
 *
 * SYNOPSIS
 *   #include "hooks/module.h"
 *   #include "hooks/core/smtp_should_session_shutdown.h"
 *
 *   static int conf_setup(const ec_option *options, size_t count) {
 *     register_core_smtp_should_session_shutdown_hook_last(provider, NULL);
 *     return 0;
 *   }
 *
 *   const ec_module postern_module = {
 *       .abi_version = EC_MODULE_ABI_VERSION,
 *       .name = "my_module",
 *       .version = "1.0",
 *       .conf_setup = conf_setup,
 *   };
 *
 *   cc -shared -fPIC -fvisibility=hidden -I include -o libmy_module.so my_module.c
 *
 * DESCRIPTION
 *   A module is a shared object that the configuration names. It is not linked against anything of
 *   the server: the symbols that hooks/ declares are found in the running daemon. Modules are
 *   loaded in the order of the configuration, before the first connection, and never unloaded.
 *
 *   1. abi_version is compared first; a module of another version is not looked at any further.
 *   2. conf_setup is called once. It reads its options and registers its hooks: the only place
 *      where that is legal.
 *   3. When all modules are set up the chains are frozen.
 *   4. ext_init is called once, before the first connection, in the same order.
 *   5. shutdown is called once at the end, after the last hook call, in reverse order, if ext_init
 *      succeeded or there is none.
 *
 * RETURN
 *   conf_setup and ext_init return 0, or -1 when the module cannot do its work: then the service
 *   refuses to start and says which module. `return ec_module_fail("why")` lets it say why, too.
 *
 * THREADING
 *   All three run on the main thread. Hooks are called on scheduler threads. A module that needs
 *   threads of its own starts them in ext_init, with all signals blocked, and joins them in
 *   shutdown.
 */
#ifndef HOOKS_MODULE_H_
#define HOOKS_MODULE_H_

#include <stddef.h>
#include <string.h>

#include "hooks/module-hooks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rises when a module built for an older version could not work any more. */
#define EC_MODULE_ABI_VERSION 1

/* An option of the module from the configuration; both strings are valid during conf_setup only. */
typedef struct ec_option {
  const char *key;
  const char *value;
} ec_option;

typedef struct ec_module {
  int abi_version;     /* EC_MODULE_ABI_VERSION */
  const char *name;    /* the module's own name, for the log; not NULL */
  const char *version; /* of the module, for the log; not NULL */
  int (*conf_setup)(const ec_option *options, size_t count); /* not NULL */
  int (*ext_init)(void);                                     /* or NULL */
  void (*shutdown)(void);                                    /* or NULL */
} ec_module;

/* Defined by the module, as in the synopsis. */
EC_HOOK_API extern const ec_module postern_module;

/* Says why conf_setup or ext_init is about to fail, in at most 256 bytes. Returns -1. */
EC_HOOK_API int ec_module_fail(const char *why);

/* The value of option `key`, or `otherwise` when the configuration does not have it. */
static inline const char *ec_option_value(const ec_option *options, size_t count, const char *key,
                                          const char *otherwise) {
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(options[i].key, key) == 0) return options[i].value;
  }
  return otherwise;
}

#ifdef __cplusplus
}
#endif

#endif /* HOOKS_MODULE_H_ */

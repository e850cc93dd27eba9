/* A module that is wrong in the way that the build's define says; JOURNAL_*: not wrong at all, it
 * writes down what is called, into the file that its option `journal` names. */
#include <stdio.h>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "hooks/module.h"

#ifdef NO_SYMBOL

/* Something else is exported. */
EC_HOOK_API extern const int not_a_module;
const int not_a_module = 1;

#else

#ifdef JOURNAL_B
#define NAME "journal_b"
#else
#define NAME "journal_a"
#endif

#if defined(JOURNAL_A) || defined(JOURNAL_B)
static char journal[512];

static int note(const char *what) {
  FILE *file = fopen(journal, "a");
  if (file == NULL) return -1;
  fprintf(file, "%s %s\n", NAME, what);
  fclose(file);
  return 0;
}

static void observe(void *closure, domain_record *dr, int slot, struct timeval *now, int conn_fd) {
  (void)closure, (void)dr, (void)slot, (void)now, (void)conn_fd;
  note("observe");
}
#endif

#ifdef REGISTERS_LATE
static int provider(void *closure, delivery_construct *dc) {
  (void)closure, (void)dc;
  return 1;
}
#endif

#ifndef INCOMPLETE
static int conf_setup(const ec_option *options, size_t count) {
  (void)options, (void)count;
#if defined(CONF_SETUP_FAILS)
  return ec_module_fail("the option colour is required");
#elif defined(CONF_SETUP_FAILS_SILENTLY)
  return -1;
#elif defined(JOURNAL_A) || defined(JOURNAL_B)
  snprintf(journal, sizeof journal, "%s", ec_option_value(options, count, "journal", ""));
  register_core_post_initiate_connection_smtp_hook_last(observe, NULL);
  return note("conf_setup");
#else
  return 0;
#endif
}
#endif

static int ext_init(void) {
#if defined(EXT_INIT_FAILS)
  return ec_module_fail("the moon is full");
#elif defined(REGISTERS_LATE)
  register_core_smtp_should_session_shutdown_hook_first(provider, NULL);
  return 0;
#elif defined(UNDEFINED_SYMBOL)
  extern int no_such_symbol_in_the_daemon(void);
  return no_such_symbol_in_the_daemon();
#elif defined(JOURNAL_A) || defined(JOURNAL_B)
  return note("ext_init");
#else
  return 0;
#endif
}

static void shut_down(void) {
#if defined(JOURNAL_A) || defined(JOURNAL_B)
  note("shutdown");
#endif
}

const ec_module postern_module = {
#ifdef WRONG_ABI
    .abi_version = EC_MODULE_ABI_VERSION + 1,
#else
    .abi_version = EC_MODULE_ABI_VERSION,
#endif
    .name = NAME,
    .version = "0",
#ifndef INCOMPLETE
    .conf_setup = conf_setup,
#endif
    .ext_init = ext_init,
    .shutdown = shut_down,
};

#endif

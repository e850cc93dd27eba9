/* Every symbol that hooks/ declares exists, as C sees it and with the documented type. Built as
 * strict C11; fails to compile or to link when one is missing. */
#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "hooks/module.h"

typedef void function(void);

typedef void initiate_provider(void *, domain_record *, int, struct timeval *, int);
typedef int shutdown_provider(void *, delivery_construct *);

int main(void) {
  ec_hook_core_post_initiate_connection_smtp_func_t *initiate = (initiate_provider *)0;
  ec_hook_core_smtp_should_session_shutdown_func_t *shutdown = (shutdown_provider *)0;

  int (*has_initiate)(void) = has_core_post_initiate_connection_smtp_hook;
  void (*initiate_first)(initiate_provider *, void *) =
      register_core_post_initiate_connection_smtp_hook_first;
  void (*initiate_last)(initiate_provider *, void *) =
      register_core_post_initiate_connection_smtp_hook_last;
  void (*call_initiate)(domain_record *, int, struct timeval *, int) =
      call_core_post_initiate_connection_smtp_hook;

  int (*has_shutdown)(void) = has_core_smtp_should_session_shutdown_hook;
  void (*shutdown_first)(shutdown_provider *, void *) =
      register_core_smtp_should_session_shutdown_hook_first;
  void (*shutdown_last)(shutdown_provider *, void *) =
      register_core_smtp_should_session_shutdown_hook_last;
  int (*call_shutdown)(delivery_construct *) = call_core_smtp_should_session_shutdown_hook;

  const ec_message *(*probable)(const domain_record *, int) = ec_probable_message;
  const char *(*recipient)(const ec_message *, int) = ec_message_recipient;
  void (*hold)(delivery_construct *, int) = delivery_construct_hold;
  void (*avoid_host)(delivery_construct *, int) = delivery_construct_avoid_host;
  int (*fail)(const char *) = ec_module_fail;

  function *const all[] = {
      (function *)has_initiate,  (function *)initiate_first, (function *)initiate_last,
      (function *)call_initiate, (function *)has_shutdown,   (function *)shutdown_first,
      (function *)shutdown_last, (function *)call_shutdown,  (function *)probable,
      (function *)recipient,     (function *)hold,           (function *)avoid_host,
      (function *)fail};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) {
    if (all[i] == NULL) return 1;
  }
  if (initiate != NULL || shutdown != NULL) return 2;
  /* Nobody has registered: the chains are there and empty. */
  return has_initiate() + has_shutdown();
}

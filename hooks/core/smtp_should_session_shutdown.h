/* smtp_should_session_shutdown.h
 *
 * NAME
 *   smtp_should_session_shutdown - allows modules to shut down an SMTP session
 *
 * SYNOPSIS
 *   #include "hooks/core/smtp_should_session_shutdown.h"
 *
 *   int smtp_should_session_shutdown(void *closure, delivery_construct *dc);
 *
 *   ec_hook_core_smtp_should_session_shutdown_func_t
 *   int has_core_smtp_should_session_shutdown_hook(void);
 *   void register_core_smtp_should_session_shutdown_hook_first(
 *       ec_hook_core_smtp_should_session_shutdown_func_t hook, void *closure);
 *   void register_core_smtp_should_session_shutdown_hook_last(
 *       ec_hook_core_smtp_should_session_shutdown_func_t hook, void *closure);
 *   int call_core_smtp_should_session_shutdown_hook(delivery_construct *dc);
 *
 * DESCRIPTION
 *   Called after every delivery attempt, successful or failed (4xx or 5xx at any command or at the
 *   final dot, 421, lost connection, timeout), once per transaction and not per recipient: an
 *   alternative mechanism for terminating the session. It is also called when the queue is empty.
 *   It is not called for local refusals that sent no command.
 *
 *   When the session is ending anyway (max_deliveries_per_connection or
 *   max_recipients_per_connection reached, 421, connection lost, drain) the chain is still called,
 *   so that a provider that counts misses nothing, but the result is ignored.
 *
 *   A session that is shut down sends QUIT, waits briefly for the 221 and closes. Mail stays in the
 *   active queue and no attempt is charged to it. Connections that replace ended ones are subject
 *   to redial_rate; delivery_construct_hold and delivery_construct_avoid_host say more on what
 *   comes next.
 *
 * PARAMETERS
 *   closure  what the provider was registered with; the module's
 *   dc       the delivery attempt that has just ended; the server's, read-only, valid during the
 *            call
 *
 * RETURN
 *   0 keeps the session as far as this provider is concerned, and the next one is asked. The first
 *   non-zero return ends the chain and shuts the session down; the provider's module is recorded as
 *   the cause. 0 of all keeps the session.
 *
 * THREADING
 *   On the scheduler thread that owns the pair. Must not block. Calls for different domains come
 *   on several threads at once.
 *
 * OUR CHOICES
 *   With no provider call_core_smtp_should_session_shutdown_hook returns 0; the documented API
 *   leaves it undefined. The words on what comes next are ours.
 *
 * SEE ALSO
 *   hooks/types.h, hooks/module.h, hooks/core/post_initiate_connection_smtp.h
 */
#ifndef HOOKS_CORE_SMTP_SHOULD_SESSION_SHUTDOWN_H_
#define HOOKS_CORE_SMTP_SHOULD_SESSION_SHUTDOWN_H_

#include "hooks/module-hooks.h"
#include "hooks/types.h"

EC_DECLARE_HOOK(core, int, smtp_should_session_shutdown, (void *closure, delivery_construct *dc),
                (delivery_construct * dc), (EC_HOOK_CLOSURE, dc),
                if (EC_HOOK_RETVAL != 0) EC_HOOK_RETURN(EC_HOOK_RETVAL))

#endif /* HOOKS_CORE_SMTP_SHOULD_SESSION_SHUTDOWN_H_ */

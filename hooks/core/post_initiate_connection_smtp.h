/* post_initiate_connection_smtp.h
 *
 * NAME
 *   post_initiate_connection_smtp - called after an SMTP session initiation has been attempted
 *
 * SYNOPSIS
 *   #include "hooks/core/post_initiate_connection_smtp.h"
 *
 *   void post_initiate_connection_smtp(void *closure, domain_record *dr, int binding_slot,
 *                                      struct timeval *now, int conn_fd);
 *
 *   ec_hook_core_post_initiate_connection_smtp_func_t
 *   int has_core_post_initiate_connection_smtp_hook(void);
 *   void register_core_post_initiate_connection_smtp_hook_first(
 *       ec_hook_core_post_initiate_connection_smtp_func_t hook, void *closure);
 *   void register_core_post_initiate_connection_smtp_hook_last(
 *       ec_hook_core_post_initiate_connection_smtp_func_t hook, void *closure);
 *   void call_core_post_initiate_connection_smtp_hook(domain_record *dr, int binding_slot,
 *                                                     struct timeval *now, int conn_fd);
 *
 * DESCRIPTION
 *   Raised exactly once for every attempt to open an SMTP connection for a (domain, binding) pair,
 *   after the attempt has ended, whatever its end. A walk over several addresses raises it once per
 *   address, in order, those that prohibited_hosts skips among them. An attempt that never reached
 *   an address (no MX, null MX, limit of the hosts or of the server) raises it once, with the code.
 *   A lasting state is not a storm: an attempt that ends in CONN_ERR_NO_MXS_REACHABLE or
 *   CONN_ERR_HOST_MAX_REACHED parks the pair until the earliest back-off ends or a slot is freed
 *   (at least 1 s), and each parking raises it once. A fault of this machine (CONN_ERR_SOCKET,
 *   _IOCTL, _BIND, or _CONNECT_NETWORK where no route leads to the address) suspends the binding,
 *   or the address family, for a period of at least 1 s; it is raised once in each period, for the
 *   attempt that met it, and not for those that wait with it.
 *
 *   It is an observation: it cannot veto. It is raised before any mail is failed or deferred for
 *   the outcome, so that the head of the queue is still there to be looked at. A connection is not
 *   created for a message but for the pair; ec_probable_message(dr, binding_slot) offers the
 *   documented "reasonable guess" at the message behind it.
 *
 * PARAMETERS
 *   closure       what the provider was registered with; the module's
 *   dr            the domain in question; the server's, read-only, valid during the call
 *   binding_slot  the binding in question: a number that a binding's name is given when it first
 *                 appears, fixed for the life of the process and never reused
 *   now           the wall clock; the server's, valid during the call
 *   conn_fd       a valid descriptor (>= 0) of the established connection, or one of the negative
 *                 CONN_ERR codes of hooks/connection.h. The descriptor is live: never read, write
 *                 or close it
 *
 * RETURN
 *   None. Every provider runs, in the order of the chain.
 *
 * THREADING
 *   On the scheduler thread that owns the pair. Must not block. Calls for different domains come
 *   on several threads at once.
 *
 * OUR CHOICES
 *   The documented API may raise the hook when connect() has been started. Here it is raised when
 *   the outcome is known: a valid conn_fd means that TCP is established and the banner not yet
 *   read. ec_probable_message is ours: the documented API has the provider peek into the queue.
 *
 * SEE ALSO
 *   hooks/types.h, hooks/connection.h, hooks/module.h, hooks/core/smtp_should_session_shutdown.h
 */
#ifndef HOOKS_CORE_POST_INITIATE_CONNECTION_SMTP_H_
#define HOOKS_CORE_POST_INITIATE_CONNECTION_SMTP_H_

#include <sys/time.h>

#include "hooks/connection.h"
#include "hooks/module-hooks.h"
#include "hooks/types.h"

EC_DECLARE_VOID_HOOK(core, post_initiate_connection_smtp,
                     (void *closure, domain_record *dr, int binding_slot, struct timeval *now,
                      int conn_fd),
                     (domain_record * dr, int binding_slot, struct timeval *now, int conn_fd),
                     (EC_HOOK_CLOSURE, dr, binding_slot, now, conn_fd))

#endif /* HOOKS_CORE_POST_INITIATE_CONNECTION_SMTP_H_ */

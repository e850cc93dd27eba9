/* types.h - what a provider is handed: records of the server, to be read.
 *
 * NAME
 *   domain_record, connection, connection_handle, ec_message, delivery_construct
 *
 * DESCRIPTION
 *   The members below carry the documented names. Strings are NUL-terminated and never NULL unless
 *   the member says so.
 *
 * OWNERSHIP
 *   All of it belongs to the server and is valid only while the provider is being called: copy what
 *   you want to keep. All of it is read-only. The descriptor is live: a provider never reads,
 *   writes, changes or closes it. Only the server makes these structures, so a later version may
 *   append members; do not embed, copy or measure them.
 *
 * THREADING
 *   Use them, and the functions below, only on the thread of the call that handed them over.
 *
 * OUR CHOICES
 *   Strings are `const char *`, `message->id` is the id in text form, and counters of a domain are
 *   64 bits wide; `batch` is a plain array.
 */
#ifndef HOOKS_TYPES_H_
#define HOOKS_TYPES_H_

#include <stdint.h>

#include "hooks/module-hooks.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct domain_record domain_record;
typedef struct connection connection;
typedef struct connection_handle connection_handle;
typedef struct ec_message ec_message;
typedef struct delivery_construct delivery_construct;

/* A receiving domain (or gateway), with all its bindings. Counters: since the server knows it. */
struct domain_record {
  const char *domain;  /* lower case; internationalised names as A-labels */
  uint64_t deliveries; /* recipients delivered */
  uint64_t attempts;   /* recipients attempted */
  uint64_t transients; /* attempts that were deferred */
  uint64_t failures;   /* recipients failed for good */
  int mxcnt;           /* hosts in the MX list; 0 while none is known */
};

/* An open SMTP connection. */
struct connection {
  int fd;                /* live: never read, written or closed by a provider; -1 once closed */
  int deliveries;        /* transactions that succeeded on this connection, the last one included */
  int recipients;        /* RCPT commands sent on this connection */
  domain_record *domain; /* never NULL */
};

struct connection_handle {
  connection *conn; /* never NULL in smtp_should_session_shutdown */
  int binding_slot; /* see post_initiate_connection_smtp */
};

/* A message, as far as one (domain, binding) pair is concerned with it. */
struct ec_message {
  const char *id;        /* 32 hexadecimal digits */
  const char *domain;    /* of the queue: the recipients' domain, or the gateway */
  int binding_slot;      /* of the queue */
  int num_retries;       /* attempts before this one that were charged to it */
  const char *_mailfrom; /* reverse-path without brackets; "" is the null sender */
  const char *_rcptto;   /* the first recipient of the transaction; ec_message_recipient has all */
  int _code;             /* SMTP reply code that decided the transaction; 0 before there is one */
  /* The server's: read through ec_message_recipient. */
  const char *const *_recipients;
  int _recipient_count;
};

/* A delivery attempt that has just ended. */
struct delivery_construct {
  ec_message *message;            /* never NULL */
  connection_handle *conn_handle; /* never NULL */
  ec_message **batch;             /* the messages of the transaction; batch[0] == message */
  int batch_count;                /* 1: a transaction carries one message */
};

/* The message that the attempt was probably made for: the head of the active queue of the pair. A
 * connection belongs to a pair, not to a message, so this is a reasonable guess and no more. NULL
 * when the queue is empty or `binding_slot` is not the slot of the call. To be used only inside
 * post_initiate_connection_smtp, with its arguments. */
EC_HOOK_API const ec_message *ec_probable_message(const domain_record *dr, int binding_slot);

/* Walks the recipients of the transaction:
 *
 *   for (int i = 0; (rcptto = ec_message_recipient(message, i)) != NULL; ++i) ...
 *
 * NULL for an index out of range. */
EC_HOOK_API const char *ec_message_recipient(const ec_message *message, int index);

/* Words on what comes after a shutdown, left by a provider of smtp_should_session_shutdown before
 * it returns non-zero: no new connection for the pair for so many seconds; or none to this host,
 * while others may be used. Without a word the pair reconnects as it needs, within redial_rate.
 * From 1 to 3600: more counts as 3600; 0 or less takes the word back. The last word counts. It
 * holds only when a module ends the session; the messages wait, no attempt is charged. */
EC_HOOK_API void delivery_construct_hold(delivery_construct *dc, int seconds);
EC_HOOK_API void delivery_construct_avoid_host(delivery_construct *dc, int seconds);

#ifdef __cplusplus
}
#endif

#endif /* HOOKS_TYPES_H_ */

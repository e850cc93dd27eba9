/* connection.h - how an attempt to open a connection can end without one.
 *
 * NAME
 *   CONN_ERR_MX_LOOKUP_FAILED and the others - negative values of conn_fd
 *
 * DESCRIPTION
 *   post_initiate_connection_smtp is handed either a valid descriptor (>= 0) or one of these. The
 *   names are the documented ones; the values are ours and never change.
 */
#ifndef HOOKS_CONNECTION_H_
#define HOOKS_CONNECTION_H_

/* The MX or address lookup ended in a DNS error, or not within mx_lookup_timeout. */
#define CONN_ERR_MX_LOOKUP_FAILED (-1)
/* No answer was cached: a lookup was started or joined. The attempt is made again when it ends. */
#define CONN_ERR_MX_LOOKUP_PENDING (-2)
/* The domain publishes a null MX (RFC 7505): it takes no mail. */
#define CONN_ERR_SMTP_NULL_MX (-3)
/* Every address of every MX is in its failure back-off. */
#define CONN_ERR_NO_MXS_REACHABLE (-4)
/* The address is in prohibited_hosts and is skipped; with no other left the mail fails (5.4.4). */
#define CONN_ERR_PROHIBITED_IP (-5)
/* Every candidate host, or the whole server, is at its connection limit. */
#define CONN_ERR_HOST_MAX_REACHED (-6)
/* socket() failed. */
#define CONN_ERR_SOCKET (-7)
/* A socket option or non-blocking mode could not be set. */
#define CONN_ERR_IOCTL (-8)
/* The binding's source address could not be bound. */
#define CONN_ERR_BIND (-9)
/* connect() was refused or failed otherwise. */
#define CONN_ERR_CONNECT (-10)
/* The network or the host is unreachable. */
#define CONN_ERR_CONNECT_NETWORK (-11)
/* No answer within connect_timeout. */
#define CONN_ERR_CONNECT_TIMEOUT (-12)

#endif /* HOOKS_CONNECTION_H_ */

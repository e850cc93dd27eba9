/* log_connections.c - writes a line for every attempt to open a connection, and how it ended.
 *
 *   modules:
 *     - name: log_connections
 *       path: /usr/lib/postern/liblog_connections.so
 *       options: {file: /var/log/postern/connections.log}
 *
 * Without the option `file` the lines go to standard error. A line:
 *
 *   1700000000.123456 example.com slot=0 connected fd=17 probably=018bcfe5... for <a@example.com>
 *
 * When the service ends, also a start that fails, the last line is "ended".
 *
 * One fprintf a line: stdio locks the stream, so lines of several scheduler threads do not mix. A
 * local file does not block for long; a module that talks to a network hands over to a thread.
 */
#include <stdio.h>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/module.h"

static FILE *out;

static const char *outcome(int conn_fd) {
  switch (conn_fd) {
    case CONN_ERR_MX_LOOKUP_FAILED:
      return "MX lookup failed";
    case CONN_ERR_MX_LOOKUP_PENDING:
      return "MX lookup pending";
    case CONN_ERR_SMTP_NULL_MX:
      return "null MX";
    case CONN_ERR_NO_MXS_REACHABLE:
      return "no MX reachable";
    case CONN_ERR_PROHIBITED_IP:
      return "prohibited address";
    case CONN_ERR_HOST_MAX_REACHED:
      return "host limit reached";
    case CONN_ERR_SOCKET:
      return "socket failed";
    case CONN_ERR_IOCTL:
      return "socket option failed";
    case CONN_ERR_BIND:
      return "bind failed";
    case CONN_ERR_CONNECT:
      return "connect failed";
    case CONN_ERR_CONNECT_NETWORK:
      return "unreachable";
    case CONN_ERR_CONNECT_TIMEOUT:
      return "connect timed out";
    default:
      return conn_fd >= 0 ? "connected" : "unknown error";
  }
}

static void log_connection(void *closure, domain_record *dr, int binding_slot, struct timeval *now,
                           int conn_fd) {
  const ec_message *message = ec_probable_message(dr, binding_slot);
  (void)closure;
  fprintf(out, "%lld.%06ld %s slot=%d %s fd=%d probably=%s for <%s>\n", (long long)now->tv_sec,
          (long)now->tv_usec, dr->domain, binding_slot, outcome(conn_fd), conn_fd,
          message != NULL ? message->id : "none", message != NULL ? message->_rcptto : "");
}

static int conf_setup(const ec_option *options, size_t count) {
  const char *file = ec_option_value(options, count, "file", NULL);
  out = stderr;
  if (file != NULL) {
    out = fopen(file, "ae");
    if (out == NULL) return ec_module_fail("option file: cannot be opened for appending");
    setvbuf(out, NULL, _IOLBF, BUFSIZ);
  }
  register_core_post_initiate_connection_smtp_hook_last(log_connection, NULL);
  return 0;
}

static void shut_down(void) {
  fprintf(out, "ended\n");
  if (out != stderr) fclose(out);
}

const ec_module postern_module = {
    .abi_version = EC_MODULE_ABI_VERSION,
    .name = "log_connections",
    .version = "1.0",
    .conf_setup = conf_setup,
    .shutdown = shut_down,
};

/* end_session.c - ends an SMTP session after so many successful deliveries.
 *
 *   modules:
 *     - name: end_session
 *       path: /usr/lib/postern/libend_session.so
 *       options: {deliveries: "20", domain: example.com, hold: "5", avoid: "60"}
 *
 *   deliveries  a number from 1: the session ends when that many have succeeded on it; required
 *   domain      only sessions of this domain; without it, all
 *   hold        seconds for which no new connection is opened for the pair afterwards; default 0
 *   avoid       seconds for which the pair does not go to this host again; default 0
 *
 * What the options say is written once in conf_setup and only read afterwards, so calls on several
 * threads need no lock.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hooks/core/smtp_should_session_shutdown.h"
#include "hooks/module.h"

static int max_deliveries;
static int hold_seconds;
static int avoid_seconds;
static char only_domain[256];

static int should_shutdown(void *closure, delivery_construct *dc) {
  const connection *conn = dc->conn_handle->conn;
  (void)closure;
  if (only_domain[0] != '\0' && strcasecmp(conn->domain->domain, only_domain) != 0) return 0;
  if (conn->deliveries < max_deliveries) return 0;
  if (hold_seconds > 0) delivery_construct_hold(dc, hold_seconds);
  if (avoid_seconds > 0) delivery_construct_avoid_host(dc, avoid_seconds);
  return 1;
}

/* A decimal number from `least` to INT_MAX, and nothing behind it; -1 for anything else. */
static int number(const char *text, int least) {
  char *end = NULL;
  long value;
  errno = 0;
  value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < least || value > INT_MAX) return -1;
  return (int)value;
}

static int conf_setup(const ec_option *options, size_t count) {
  const char *domain = ec_option_value(options, count, "domain", "");
  max_deliveries = number(ec_option_value(options, count, "deliveries", ""), 1);
  if (max_deliveries < 0) return ec_module_fail("option deliveries: a number from 1 is required");
  hold_seconds = number(ec_option_value(options, count, "hold", "0"), 0);
  if (hold_seconds < 0) return ec_module_fail("option hold: must be a number of seconds");
  avoid_seconds = number(ec_option_value(options, count, "avoid", "0"), 0);
  if (avoid_seconds < 0) return ec_module_fail("option avoid: must be a number of seconds");
  if (strlen(domain) >= sizeof only_domain) return ec_module_fail("option domain: too long");
  strcpy(only_domain, domain);
  register_core_smtp_should_session_shutdown_hook_last(should_shutdown, NULL);
  return 0;
}

const ec_module postern_module = {
    .abi_version = EC_MODULE_ABI_VERSION,
    .name = "end_session",
    .version = "1.0",
    .conf_setup = conf_setup,
};

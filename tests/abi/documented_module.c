/* A module as the Momentum manual leads one to write it: the documented names, members and headers,
 * and nothing of ours but the way it is loaded. It must compile unchanged, without a warning. */
#include <stdio.h>
#include <string.h>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"

#include "hooks/module.h"

static int refused;

static void post_initiate(void *closure, domain_record *dr, int binding_slot, struct timeval *now,
                          int conn_fd) {
  if (conn_fd == CONN_ERR_CONNECT) refused++;
  printf("%s %ld %s slot %d fd %d: %lu of %lu delivered, %lu deferred, %lu failed, %d hosts\n",
         (const char *)closure, (long)now->tv_sec, dr->domain, binding_slot, conn_fd,
         (unsigned long)dr->deliveries, (unsigned long)dr->attempts, (unsigned long)dr->transients,
         (unsigned long)dr->failures, dr->mxcnt);
}

static int should_shutdown(void *closure, delivery_construct *dc) {
  ec_message *m = dc->message;
  connection_handle *h = dc->conn_handle;
  (void)closure;
  for (int i = 0; i < dc->batch_count; ++i) {
    if (dc->batch[i]->_code >= 500) return 1;
  }
  if (strcmp(m->domain, h->conn->domain->domain) != 0 || m->binding_slot != h->binding_slot) {
    printf("%s from %s to %s, retry %d, on fd %d\n", m->id, m->_mailfrom, m->_rcptto,
           m->num_retries, h->conn->fd);
  }
  return h->conn->deliveries >= 10 || h->conn->recipients >= 100;
}

static int conf_setup(const ec_option *options, size_t count) {
  static char name[] = "documented";
  (void)options, (void)count;
  register_core_post_initiate_connection_smtp_hook_first(post_initiate, name);
  if (!has_core_post_initiate_connection_smtp_hook()) return -1;
  register_core_smtp_should_session_shutdown_hook_last(should_shutdown, NULL);
  return 0;
}

const ec_module postern_module = {
    .abi_version = EC_MODULE_ABI_VERSION,
    .name = "documented",
    .version = "1",
    .conf_setup = conf_setup,
};

"""A host that fails three times in a row is skipped: CONN_ERR_NO_MXS_REACHABLE, once, for all."""

import unittest

from scenario import Scenario, reason_of


class NoMxsReachable(Scenario):
    config = {"options": {"host_failure_retry": "1h", "retry_schedule": ["20ms"]}}

    def test_a_host_that_failed_is_not_dialled_by_any_domain(self):
        self.dns.domain("a.test", "127.0.0.8")
        self.dns.domain("b.test", "127.0.0.8")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        event = self.wait_connect_error(watch, "NO_MXS_REACHABLE")
        self.assertEqual(event.connection.domain, "a.test")
        self.assertIn("127.0.0.8", event.post_initiate_connection_smtp.detail)
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "HOST_BACKOFF",
                                 what="reason HOST_BACKOFF")

        # The host's back-off holds for who never dialled it, and each parking is one event.
        other = self.daemon.submit(["r@b.test"])
        self.daemon.wait_message(other, lambda m: reason_of(m) == "HOST_BACKOFF",
                                 what="reason HOST_BACKOFF")
        watch.wait_event("post_initiate_connection_smtp",
                         lambda e: e.connection.domain == "b.test" and
                         e.post_initiate_connection_smtp.detail)  # not that of the lookup
        errors = [e.connection.domain + " " + str(e.post_initiate_connection_smtp.error)
                  for e in watch.of_kind("post_initiate_connection_smtp")
                  if e.post_initiate_connection_smtp.detail]
        self.assertEqual(len([e for e in errors if e.startswith("a.test")]), 4, errors)
        self.assertEqual(len([e for e in errors if e.startswith("b.test")]), 1, errors)

    def test_the_host_is_tried_again_when_its_back_off_ends(self):
        self.config = {"options": {"host_failure_retry": "500ms", "retry_schedule": ["20ms"]}}
        self.dns.domain("a.test", "127.0.0.8")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.wait_connect_error(watch, "NO_MXS_REACHABLE")
        late = self.other_sink("127.0.0.8")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(late.messages), 1)


if __name__ == "__main__":
    unittest.main()

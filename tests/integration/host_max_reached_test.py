"""Domains share the places at a host: CONN_ERR_HOST_MAX_REACHED, and who waits gets the next one."""

import unittest

from scenario import Scenario, dispositions, reason_of


class HostMaxReached(Scenario):
    config = {"options": {"max_connections_per_host": 1, "idle_timeout": "60s",
                          "body_timeout": "60s"}}

    def setUp(self):
        super().setUp()
        self.dns.domain("a.test", "127.0.0.1")
        self.dns.domain("b.test", "127.0.0.1")

    def test_who_finds_the_host_full_waits_and_gets_the_place(self):
        self.sink.rule("body", domain="a.test", gate="go")
        watch = self.daemon.watch()
        first = self.daemon.submit(["r@a.test"])
        self.sink.wait_transactions(1)
        second = self.daemon.submit(["r@b.test"])
        event = self.wait_connect_error(watch, "HOST_MAX_REACHED")
        self.assertEqual(event.connection.domain, "b.test")
        self.assertIn(f"127.0.0.1:{self.sink.port}", event.post_initiate_connection_smtp.detail)
        self.daemon.wait_message(second, lambda m: reason_of(m) == "THROTTLED",
                                 what="reason THROTTLED")
        # Nobody has refused it, nor has it been attempted.
        self.assertEqual(dispositions(self.daemon.message(second)), {"r@b.test": "QUEUED"})
        self.assertEqual(len(self.sink.connections), 1)
        self.sink.gates.release("go")
        self.daemon.wait_dispositions(first, "DELIVERED")
        self.daemon.wait_dispositions(second, "DELIVERED")
        # The session of a.test did not idle for its minute: it made room.
        closed = watch.wait_event("connection_closed",
                                  lambda e: e.connection.domain == "a.test")
        self.assert_closed(closed, "YIELDED")
        full = [e for e in watch.of_kind("post_initiate_connection_smtp")
                if "max_connections_per_host" in e.post_initiate_connection_smtp.detail]
        self.assertEqual(len(full), 1, "each parking raises it once")

    def test_an_idle_session_yields_at_once(self):
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.deliver("r@b.test")
        closed = watch.wait_event("connection_closed")
        self.assertEqual(closed.connection.domain, "a.test")
        self.assert_closed(closed, "YIELDED")

    def test_the_server_has_a_limit_too(self):
        self.config = {"options": {"server_max_outbound_connections": 1, "idle_timeout": "0s"}}
        self.dns.domain("c.test", "127.0.0.2")
        self.other_sink("127.0.0.2")
        self.sink.rule("body", domain="a.test", gate="go")
        first = self.daemon.submit(["r@a.test"])
        self.sink.wait_transactions(1)
        watch = self.daemon.watch()
        second = self.daemon.submit(["r@c.test"])
        event = self.wait_connect_error(watch, "HOST_MAX_REACHED")
        self.assertIn("server_max_outbound_connections",
                      event.post_initiate_connection_smtp.detail)
        self.daemon.wait_message(second, lambda m: reason_of(m) == "THROTTLED",
                                 what="reason THROTTLED")
        self.sink.gates.release("go")
        self.daemon.wait_dispositions(first, "DELIVERED")
        self.daemon.wait_dispositions(second, "DELIVERED")

    def test_an_idle_session_yields_to_who_waits_for_the_server(self):
        self.config = {"options": {"server_max_outbound_connections": 1, "idle_timeout": "60s"}}
        self.dns.domain("c.test", "127.0.0.2")
        self.other_sink("127.0.0.2")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.deliver("r@c.test")
        closed = watch.wait_event("connection_closed")
        self.assertEqual(closed.connection.domain, "a.test")
        self.assert_closed(closed, "YIELDED")


if __name__ == "__main__":
    unittest.main()

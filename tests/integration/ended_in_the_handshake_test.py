"""Who ends a connection that is still in its greeting ends it at once, and blames nobody for it."""

import unittest

from postern.v1 import control_pb2
from scenario import ONE_CONNECTION, Scenario, eventually, merge, reason_of


class EndedInTheHandshake(Scenario):
    config = merge(ONE_CONNECTION, {"options": {"banner_timeout": "1h", "retry_schedule": ["1h"]}})

    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        self.sink.rule("greeting", times=1, hang=True)

    def the_connection(self):
        self.sink.wait(lambda: any("greeting: hangs" in c.notes() for c in self.sink.connections),
                       10, "the receiver hangs before its greeting")

        # Until the daemon has seen that it is connected, there is no session to end.
        def session():
            found, = self.control("ListConnections").connections
            return found.state != control_pb2.CONNECTION_STATE_DIALING and found
        return eventually(session, what="a session").connection.connection_id

    def expect_another_connection(self, ident):
        """At once: the queue was not put off by its retry_schedule of hours."""
        message = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)

    def test_by_an_operator(self):
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.control("ShutdownConnection", connection_id=self.the_connection())
        self.assert_closed(watch.wait_event("connection_closed"), "ADMIN")
        self.expect_another_connection(ident)

    def test_by_an_operator_who_cuts_it(self):
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.control("ShutdownConnection", connection_id=self.the_connection(), now=True)
        self.assert_closed(watch.wait_event("connection_closed"), "ADMIN")
        self.expect_another_connection(ident)

    def test_by_a_verdict_for_the_connection(self):
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        ident = self.daemon.submit(["r@a.test"])
        policy.say(self.the_connection(), "SHUTDOWN", "not this one")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy",
                           "not this one")
        self.expect_another_connection(ident)

    def test_by_a_drain(self):
        ident = self.daemon.submit(["r@a.test"])
        self.the_connection()
        watch = self.daemon.watch()
        code, out, err = self.daemon.run_cli("drain", "--budget", "5m")
        self.assertEqual(code, 0, out + err)
        self.assert_closed(watch.wait_event("connection_closed"), "DRAIN")
        self.assertEqual(reason_of(self.daemon.message(ident)), "NEW")


if __name__ == "__main__":
    unittest.main()

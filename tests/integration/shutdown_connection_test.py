"""ShutdownConnection ends one session: after its transaction, at once when idle, or by force."""

import unittest

from postern.v1 import hooks_pb2
from scenario import ONE_CONNECTION, Scenario, merge


class ShutdownConnection(Scenario):
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": "1h"}})

    def the_connection(self):
        connection, = self.control("ListConnections").connections
        return connection.connection.connection_id

    def test_ends_an_idle_session_at_once(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        code, _, err = self.daemon.run_cli("shutdown-connection", self.the_connection(),
                                           "--reason", "stuck")
        self.assertEqual(code, 0, err)
        self.assert_closed(watch.wait_event("connection_closed"), "ADMIN", "local", "stuck")
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")
        # Its mail was never held up: another connection is opened for more.
        self.deliver("q@a.test")

    def test_lets_the_transaction_end(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot")
        watch = self.daemon.watch()
        first = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        self.control("ShutdownConnection", connection_id=self.the_connection())
        self.sink.gates.release("dot")
        self.daemon.wait_dispositions(first, "DELIVERED")
        self.assert_closed(watch.wait_event("connection_closed"), "ADMIN")

    def test_now_cuts_it_and_leaves_it_in_doubt(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, hang=True)
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.sink.wait(lambda: any("body: hangs" in c.notes() for c in self.sink.connections),
                       10, "the receiver hangs at body")
        self.control("ShutdownConnection", connection_id=self.the_connection(), now=True)
        self.assertTrue(watch.wait_event("delivery_attempt").delivery_attempt.in_doubt)
        self.assert_closed(watch.wait_event("connection_closed"), "ADMIN")
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def test_now_says_nothing_about_the_host_or_the_message(self):
        self.make_daemon(**merge(ONE_CONNECTION, {"options": {"retry_schedule": ["1h"]}})).start()
        self.dns.domain("a.test")
        self.sink.rule("rcpt", times=1, hang=True)
        first = self.daemon.submit(["r@a.test"])
        self.sink.wait(lambda: any("rcpt: hangs" in c.notes() for c in self.sink.connections),
                       10, "the receiver hangs at rcpt")
        other = self.daemon.submit(["q@a.test"])
        self.control("ShutdownConnection", connection_id=self.the_connection(), now=True)
        self.daemon.wait_dispositions(other, "DELIVERED")
        message = self.daemon.wait_dispositions(first, "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)

    def test_ends_a_session_that_waits_for_a_verdict(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        self.daemon.submit(["r@a.test"])
        question = policy.wait_question()
        self.control("ShutdownConnection", connection_id=question.connection_id, reason="stuck")
        self.assert_closed(watch.wait_event("connection_closed"), "ADMIN", "local", "stuck")
        # Not only when the question's time was over: then the default would have been taken.
        cancelled, = policy.wait_frame("question_cancelled")
        self.assertEqual(cancelled.cause, hooks_pb2.CANCEL_CAUSE_SESSION_ENDED)

    def test_not_found_when_there_is_none(self):
        self.assert_refused("NOT_FOUND", self.control, "ShutdownConnection",
                            connection_id="0" * 32)


if __name__ == "__main__":
    unittest.main()

"""421 and a closed connection, at every step of a session: nothing is lost, nothing doubled."""

import unittest

from scenario import LASTING_CONNECTION, Scenario, reason_of

CLOSING = "421 4.3.2 Service shutting down"


class Reply421AtEachStage(Scenario):
    config = LASTING_CONNECTION

    def test_greeting(self):
        self.before_any_transaction("greeting")

    def test_ehlo(self):
        self.before_any_transaction("ehlo")

    def test_mail(self):
        self.in_a_transaction("mail")

    def test_rcpt(self):
        self.in_a_transaction("rcpt")

    def test_data(self):
        self.in_a_transaction("data")

    def test_body(self):
        self.in_a_transaction("body")

    def before_any_transaction(self, stage):
        self.dns.domain("a.test")
        self.sink.rule(stage, connection=1, reply=CLOSING, close="after")
        self.sink.rule("greeting", connection=2, gate="retry")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.assert_closed(watch.wait_event("connection_closed"), "REPLY_421")
        self.sink.gates.wait_reached("retry")
        # The pair waited, the message was not attempted.
        self.assertEqual(self.daemon.message(ident).rows[0].attempts, 0)
        self.sink.gates.release("retry")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(self.sink.messages), 1)
        watch.wait_event("delivery_attempt")
        self.assertEqual(len(watch.of_kind("delivery_attempt")), 1)

    def in_a_transaction(self, stage):
        self.dns.domain("a.test")
        self.sink.rule(stage, connection=1, reply=CLOSING, close="after")
        self.sink.rule("greeting", connection=2, gate="retry")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        attempt = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertEqual(attempt.recipients[0].reply.code, 421)
        self.assertFalse(attempt.in_doubt)
        # The chain is called although the session ends; its result does not matter.
        self.assert_verdict(watch.wait_event("verdict"), None, "IGNORED")
        self.assert_closed(watch.wait_event("connection_closed"), "REPLY_421")
        self.sink.gates.wait_reached("retry")
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "REPLY_421",
                                 what="reason REPLY_421")
        self.sink.gates.release("retry")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(self.sink.messages), 1)

    def test_after_a_delivery_it_is_ordinary_recycling(self):
        self.dns.domain("a.test")
        self.sink.rule("mail", connection=1, transaction=2, reply=CLOSING, close="after")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        second = self.deliver("two@a.test")
        self.assert_closed(watch.wait_event("connection_closed"), "REPLY_421")
        # Only the attempt that delivered is charged.
        self.assertEqual(self.daemon.message(second).rows[0].attempts, 1)
        self.assertEqual(len(self.sink.messages), 2)


if __name__ == "__main__":
    unittest.main()

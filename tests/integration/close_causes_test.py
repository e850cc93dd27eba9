"""Causes of a close: greeting or EHLO refused, nothing queued, a limit that the peer announced."""

import unittest

from postern.v1 import types_pb2
from scenario import ONE_CONNECTION, Scenario, merge, reason_of, recipient_states, scope
from sink_rules import DEFAULT_CAPABILITIES


class Refused(Scenario):
    # Nothing but a flush makes it due again.
    config = merge(ONE_CONNECTION, {"options": {"retry_schedule": ["1h"]}})

    def refuse(self, **replies):
        """The message whose session was refused with these replies, stage by stage."""
        self.dns.domain("a.test")
        for stage, reply in replies.items():
            self.sink.rule(stage, times=1, reply=reply)
        self.watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        return self.daemon.wait_dispositions(ident, "DEFERRED")

    def check(self, message, cause, stage, reply):
        """The queue waits, the message was not attempted, and the next connection delivers it."""
        self.assert_closed(self.watch.wait_event("connection_closed"), cause, reason=reply)
        # The words of the host, which concern every message.
        for said in (recipient_states(message)["r@a.test"].last_reply,
                     self.queue("a.test").last_failure):
            self.assertEqual(f"{said.code} {said.enhanced_status} {said.text}", reply)
            self.assertEqual(said.stage, stage)
        self.assertEqual(message.rows[0].attempts, 0)
        # RFC 5321 3.1: who is refused says QUIT, and nothing of the mail.
        closed = self.sink.wait_closed(1)
        self.assertEqual((closed.closed_by, closed.sender), ("quit", None))
        for kind in ("session_ready", "delivery_attempt", "verdict"):
            self.assertEqual(self.watch.of_kind(kind), [])
        self.assertEqual(self.control("Flush", scope=scope("a.test")).rows, 1)
        message = self.daemon.wait_dispositions(message.message_id, "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)
        self.assertEqual(len(self.sink.connections), 2)

    def test_greeting_refused(self):
        reply = "554 5.7.1 not you"
        self.check(self.refuse(greeting=reply), "GREETING_REFUSED",
                   types_pb2.SMTP_STAGE_GREETING, reply)

    def test_greeting_refused_for_now(self):
        reply = "451 4.3.2 not now"
        self.check(self.refuse(greeting=reply), "GREETING_REFUSED",
                   types_pb2.SMTP_STAGE_GREETING, reply)

    def test_ehlo_refused(self):
        reply = "504 5.7.0 nor that"
        self.check(self.refuse(ehlo="502 5.5.1 not that", helo=reply), "EHLO_REFUSED",
                   types_pb2.SMTP_STAGE_HELO, reply)
        self.assertEqual([c.split()[0] for c in self.sink.connections[0].commands()],
                         ["EHLO", "HELO", "QUIT"])

    def test_the_mail_says_that_it_waits_for_a_greeting(self):
        self.assertEqual(reason_of(self.refuse(greeting="554 5.7.1 not you")), "GREETING_REFUSED")
        self.assertEqual(self.reason_of_queue("a.test"), "GREETING_REFUSED")

    def test_the_mail_says_that_it_waits_for_an_ehlo(self):
        message = self.refuse(ehlo="502 5.5.1 not that", helo="504 5.7.0 nor that")
        self.assertEqual(reason_of(message), "GREETING_REFUSED")


class QueueEmpty(Scenario):
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": "0s"}})

    def test_closes_when_nothing_is_queued_and_not_before(self):
        self.dns.domain("a.test")
        self.suspend("a.test")
        watch = self.daemon.watch()
        idents = [self.daemon.submit([f"r{i}@a.test"]) for i in range(2)]
        self.control("Resume", scope=scope("a.test"))
        for ident in idents:
            self.daemon.wait_dispositions(ident, "DELIVERED")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "QUEUE_EMPTY", provider="", reason="")
        self.assertEqual(closed.connection_closed.deliveries, 2)
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")
        # It was no limit: the chain was called each time, and said that the session may go on.
        for event in watch.wait_events("verdict", 2):
            self.assert_verdict(event, "KEEP", "NONE")
        self.deliver("late@a.test")
        self.assertEqual([m.connection for m in self.sink.messages], [1, 1, 2])


class PeerLimit(Scenario):
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": "1h"}})

    def limit(self, mails):
        # RFC 9422: so many MAIL commands to a session.
        self.sink_capabilities = (*DEFAULT_CAPABILITIES, f"LIMITS MAILMAX={mails}")
        self.dns.domain("a.test")
        self.watch = self.daemon.watch()

    def check_closed(self, number, deliveries, attempts):
        closed = self.watch.wait_events("connection_closed", number)[number - 1]
        self.assert_closed(closed, "PEER_LIMIT")
        self.assertIn("MAILMAX", closed.connection_closed.reason)
        self.assertEqual((closed.connection_closed.deliveries, closed.connection_closed.attempts),
                         (deliveries, attempts))
        self.assertEqual(self.sink.wait_closed(number).closed_by, "quit")

    def test_ends_the_session_and_the_next_one_takes_the_mail(self):
        self.limit(1)
        self.suspend("a.test")
        idents = [self.daemon.submit([f"r{i}@a.test"]) for i in range(2)]
        self.control("Resume", scope=scope("a.test"))
        for ident in idents:
            message = self.daemon.wait_dispositions(ident, "DELIVERED")
            self.assertEqual(message.rows[0].attempts, 1)
        for number in (1, 2):
            self.check_closed(number, deliveries=1, attempts=1)
        self.assertEqual([m.connection for m in self.sink.messages], [1, 2])
        # The chain is called, and what it says does not matter.
        for event in self.watch.wait_events("verdict", 2):
            self.assert_verdict(event, None, "IGNORED")

    def test_counts_transactions_that_failed_too(self):
        self.limit(2)
        self.sink.rule("rcpt", recipient="^bad", reply="550 5.1.1 No")
        bad = self.daemon.submit(["bad@a.test"])
        self.daemon.wait_dispositions(bad, "FAILED")
        self.deliver("good@a.test")
        self.check_closed(1, deliveries=1, attempts=2)
        self.assertEqual(len(self.sink.connections), 1)


if __name__ == "__main__":
    unittest.main()

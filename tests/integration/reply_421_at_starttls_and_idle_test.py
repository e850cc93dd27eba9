"""421 in answer to STARTTLS, and 421 to a session that idles: the next connection has the mail."""

import unittest

from certificates import Authority, server_context
from postern.v1 import types_pb2
from scenario import (ONE_CONNECTION, Scenario, eventually, merge, reason_of, recipient_states,
                      scope, short)

CLOSING = "421 4.3.2 Service shutting down"


class AtStartTls(Scenario):
    # Nothing but a flush makes it due again.
    config = merge(ONE_CONNECTION, {"options": {"retry_schedule": ["1h"]}})

    def sink_tls(self):
        return server_context(Authority(self.directory, "unknown").issue_for("mx.a.test"))

    def check(self, tls):
        self.dns.domain("a.test")
        self.make_daemon(options={"tls": tls}).start()
        self.sink.rule("starttls", times=1, reply=CLOSING, close="after")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.assert_closed(watch.wait_event("connection_closed"), "REPLY_421", reason=CLOSING)
        # The queue waits, and says what it heard; the message was not attempted.
        message = self.daemon.wait_dispositions(ident, "DEFERRED")
        self.assertEqual((message.rows[0].attempts, reason_of(message)), (0, "REPLY_421"))
        self.assert_reply(recipient_states(message)["r@a.test"], 421, "starttls", "shutting down")
        self.assertEqual(self.reason_of_queue("a.test"), "REPLY_421")
        for kind in ("session_ready", "delivery_attempt", "verdict"):
            self.assertEqual(watch.of_kind(kind), [])
        # Who says 421 leaves: there is nobody to say QUIT to, and no plaintext to fall back to.
        self.assertEqual([c.split()[0] for c in self.sink.connections[0].commands()],
                         ["EHLO", "STARTTLS"])
        self.assertEqual(len(self.sink.connections), 1)
        self.control("Flush", scope=scope("a.test"))
        message = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)
        self.assertIsNotNone(self.sink.connections[1].tls)
        self.assertEqual(len(self.sink.connections), 2)

    def test_where_tls_is_required(self):
        self.check("required")

    def test_where_tls_is_not_required(self):
        self.check("ifavailable")


class AtIdle(Scenario):
    # Nothing but the receiver ends a session, and nothing that waits is tried again.
    config = merge(ONE_CONNECTION, {"options": {"retry_schedule": ["1h"], "idle_timeout": "1h"}})

    def test_after_a_delivery_it_is_ordinary_recycling(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        watch.wait_event("verdict")
        self.sink.say(1, CLOSING)
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REPLY_421", provider="", reason=CLOSING)
        self.assertEqual((closed.connection_closed.deliveries, closed.connection_closed.attempts),
                         (1, 1))
        # The queue does not wait for it: else the next message would, for an hour.
        second = self.deliver("two@a.test")
        message = self.daemon.message(second)
        self.assertEqual(message.rows[0].attempts, 1)
        self.assertEqual(recipient_states(message)["two@a.test"].attempts, 1)
        self.assertEqual([m.connection for m in self.sink.messages], [1, 2])
        # No transaction ended there, so nobody was asked about it.
        self.assertEqual(len(watch.wait_events("verdict", 2)), 2)
        self.assertEqual(len(watch.of_kind("delivery_attempt")), 2)
        self.assertNotIn("QUIT", self.sink.connections[0].commands())

    def test_before_a_delivery_the_queue_waits(self):
        self.dns.domain("a.test")
        self.sink.rule("mail", times=1, reply="451 4.7.1 later")
        watch = self.daemon.watch()
        self.daemon.submit(["one@a.test"])
        watch.wait_event("verdict")
        self.sink.say(1, CLOSING)
        self.assert_closed(watch.wait_event("connection_closed"), "REPLY_421", reason=CLOSING)
        second = self.daemon.submit(["two@a.test"])
        eventually(lambda: self.reason_of_queue("a.test") == "REPLY_421", what="a back-off")
        self.control("Flush", scope=scope("a.test"))
        message = self.daemon.wait_dispositions(second, "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)
        self.assertEqual(len(self.sink.connections), 2)

    def test_an_attempt_that_is_not_charged_is_told_as_queued(self):
        self.dns.domain("a.test")
        self.sink.rule("mail", connection=1, transaction=2, reply=CLOSING, close="after")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        second = self.deliver("two@a.test")
        self.assertEqual(self.daemon.message(second).rows[0].attempts, 1)
        told = [e.delivery_attempt.recipients[0] for e in watch.wait_events("delivery_attempt", 3)
                if e.delivery_attempt.message_id == second]
        self.assertEqual([(short(types_pb2.Disposition, r.disposition), r.reply.code)
                          for r in told], [("QUEUED", 421), ("DELIVERED", 250)])


if __name__ == "__main__":
    unittest.main()

"""A receiver that falls silent: each step has a time limit of its own, and the mail says which."""

import unittest

from certificates import Authority, server_context
from postern.v1 import types_pb2
from scenario import Scenario, dispositions, ms, reason_of, recipient_states, short

# The option NAME_timeout, and the step at which the receiver falls silent.
BEFORE_A_TRANSACTION = {"banner": "greeting", "ehlo": "ehlo", "starttls": "starttls"}
WITHIN_ONE = {"mailfrom": "mail", "rcptto": "rcpt", "data": "data"}
NAMES = (*BEFORE_A_TRANSACTION, *WITHIN_ONE, "block", "body", "rset")

# A domain for each, with an address of its own.
ADDRESSES = {name: f"127.0.0.{2 + i}" for i, name in enumerate(NAMES)}
LIMIT_MS = 300
# More than the buffers on the way hold.
LARGE = b"A: b\r\n\r\n" + (b"x" * 70 + b"\r\n") * 300000


class PhaseTimeouts(Scenario):
    sink_addresses = tuple(a for name, a in ADDRESSES.items() if name != "starttls")

    def setUp(self):
        super().setUp()
        # Nothing but the limit in question can end a session, and nothing is tried again.
        self.config = {
            "options": {"idle_timeout": "1h", "retry_schedule": ["1h"],
                        "max_outbound_connections": 1, **{f"{n}_timeout": "1h" for n in NAMES}},
            "domains": [{"name": f"{n}.test", "options": {f"{n}_timeout": ms(LIMIT_MS)}}
                        for n in NAMES]}
        for name, address in ADDRESSES.items():
            self.dns.domain(f"{name}.test", address)

    def submit(self, name, **fields):
        return self.daemon.submit([f"r@{name}.test"], **fields)

    def wait_event(self, kind, name, predicate=lambda event: True):
        return self.watch.wait_event(
            kind, lambda e: e.connection.domain == f"{name}.test" and predicate(e))

    def check_closed(self, name, stage):
        closed = self.wait_event("connection_closed", name)
        self.assert_closed(closed, "TIMEOUT", reason=f"timed out at {stage}")
        self.assertGreaterEqual(closed.connection_closed.lifetime.ToMilliseconds(), LIMIT_MS)

    def before_a_transaction(self):
        """Has the receivers fall silent; returns name, stage and message of each."""
        self.watch = self.daemon.watch()
        secure = self.other_sink(ADDRESSES["starttls"], tls=server_context(
            Authority(self.directory, "unknown").issue_for("mx.starttls.test")))
        for name, stage in BEFORE_A_TRANSACTION.items():
            sink = secure if name == "starttls" else self.sink
            sink.rule(stage, address=ADDRESSES[name], hang=True)
            ident = self.submit(name)
            self.check_closed(name, stage)
            yield name, stage, self.daemon.wait_dispositions(ident, "DEFERRED")

    def test_before_a_transaction_the_queue_waits(self):
        for name, stage, message in self.before_a_transaction():
            with self.subTest(name):
                row, = message.rows
                self.assertEqual((row.attempts, row.in_doubt), (0, False))
                self.assertIn(f"timed out at {stage}", row.recipients[0].last_reply.text)
                self.assertIn(f"timed out at {stage}",
                              self.queue(f"{name}.test").last_failure.text)
        for kind in ("session_ready", "delivery_attempt", "verdict"):
            self.assertEqual(self.watch.of_kind(kind), [])

    def test_before_a_transaction_the_mail_says_why_it_waits(self):
        for name, stage, message in self.before_a_transaction():
            with self.subTest(name, what="reason"):
                self.assertEqual(reason_of(message), "CONNECTION_LOST")
                self.assertEqual(self.reason_of_queue(f"{name}.test"), "CONNECTION_LOST")
            with self.subTest(name, what="stage"):
                reply = message.rows[0].recipients[0].last_reply
                self.assertEqual(short(types_pb2.SmtpStage, reply.stage), stage.upper())

    def check_attempt(self, name, stage, ident, in_doubt=False):
        """Of a message whose transaction has timed out."""
        self.check_closed(name, stage)
        message = self.daemon.wait_message(ident, lambda m: m.rows[0].attempts)
        self.assertEqual(dispositions(message), {f"r@{name}.test": "DEFERRED"})
        self.assertTrue(message.rows[0].HasField("next_attempt"))
        attempt = self.wait_event("delivery_attempt", name,
                                  lambda e: e.delivery_attempt.message_id == ident)
        result, = attempt.delivery_attempt.recipients
        state = recipient_states(message)[f"r@{name}.test"]
        said = "timed out after the final dot" if in_doubt else f"timed out at {stage}"
        for reply in (result.reply, state.last_reply):
            self.assertEqual(short(types_pb2.SmtpStage, reply.stage), stage.upper())
            self.assertIn(said, reply.text)
        reason = "IN_DOUBT" if in_doubt else "CONNECTION_LOST"
        self.assertEqual(short(types_pb2.Disposition, result.disposition), "DEFERRED")
        self.assertEqual(short(types_pb2.RequeueReason, result.reason), reason)
        self.assertEqual(reason_of(message), reason)
        row, = message.rows
        self.assertEqual((row.attempts, row.in_doubt), (1, in_doubt))
        self.assertEqual(attempt.delivery_attempt.in_doubt, in_doubt)

    def test_within_a_transaction(self):
        self.watch = self.daemon.watch()
        for name, stage in WITHIN_ONE.items():
            with self.subTest(name):
                self.sink.rule(stage, address=ADDRESSES[name], hang=True)
                self.check_attempt(name, stage, self.submit(name))

    def test_content_that_the_receiver_does_not_read(self):
        self.watch = self.daemon.watch()
        self.sink.rule("content", address=ADDRESSES["block"], deaf=True, hang=True)
        self.check_attempt("block", "body", self.submit("block", content=LARGE))

    def test_after_the_final_dot_it_is_in_doubt(self):
        self.watch = self.daemon.watch()
        self.sink.rule("body", address=ADDRESSES["body"], hang=True)
        self.check_attempt("body", "body", self.submit("body"), in_doubt=True)

    def test_the_reset_before_the_next_transaction(self):
        self.watch = self.daemon.watch()
        self.sink.rule("rcpt", address=ADDRESSES["rset"], times=1, reply="550 5.1.1 No")
        self.sink.rule("rset", address=ADDRESSES["rset"], hang=True)
        self.daemon.wait_dispositions(self.submit("rset"), "FAILED")
        self.check_attempt("rset", "rset", self.submit("rset"))
        self.assertEqual(len(self.sink.connections), 1)

    def test_what_timed_out_after_the_dot_is_tried_again(self):
        self.make_daemon(options={"retry_schedule": ["300ms"]}).start()
        self.sink.rule("body", address=ADDRESSES["body"], times=1, hang=True)
        message = self.daemon.wait_dispositions(self.submit("body"), "DELIVERED")
        self.assertFalse(message.rows[0].in_doubt)
        # The receiver may have it twice: that is what in doubt says.
        self.assertGreaterEqual(len(self.sink.transactions), 2)


if __name__ == "__main__":
    unittest.main()
